// register_kv_cache, unregister_kv_cache, clear, report_block_allocation.
#pragma once

#include "engine/request.hpp"

namespace lmcache::engine {

[[nodiscard]] std::shared_ptr<Request> make_register(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_unregister(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_clear(Engine& engine, Arrival arrival);
/// Telemetry: checked and answered, nothing is left to do (nullptr).
[[nodiscard]] std::shared_ptr<Request> acknowledge_allocation(Arrival arrival);

}  // namespace lmcache::engine
