// register_kv_cache, unregister_kv_cache, clear.
#pragma once

#include "engine/request.hpp"

namespace lmcache::engine {

[[nodiscard]] std::shared_ptr<Request> make_register(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_unregister(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_clear(Engine& engine, Arrival arrival);

}  // namespace lmcache::engine
