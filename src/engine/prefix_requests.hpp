// lookup, query_prefetch_status, wait_prefetch_status, free_lookup_locks, end_session.
#pragma once

#include "engine/request.hpp"

namespace lmcache::engine {

[[nodiscard]] std::shared_ptr<Request> make_lookup(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_query(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_wait(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_free(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_end_session(Engine& engine, Arrival arrival);

}  // namespace lmcache::engine
