// store and retrieve: check, reserve or pin, plan, copy, publish, answer.
#pragma once

#include "engine/request.hpp"

namespace lmcache::engine {

[[nodiscard]] std::shared_ptr<Request> make_store(Engine& engine, Arrival arrival);
[[nodiscard]] std::shared_ptr<Request> make_retrieve(Engine& engine, Arrival arrival);

}  // namespace lmcache::engine
