// A store or retrieve that has just arrived, seen from its small frames: the GPU gets ready while
// the tokens, which are most of the message, are decoded and hashed.
//
// Threads: I/O threads; nothing here takes long.
#pragma once

#include "engine/engine.hpp"
#include "wire/operations.hpp"

#include <cstddef>
#include <optional>

namespace lmcache::engine {

struct ComingTransfer {
  copy::Direction direction{};
  wire::InstanceId instance = 0;
  wire::Bytes event;
  std::size_t first_ids = 0;  ///< block ids of the first group
};

/// Nothing if it is another operation, or malformed, of which the request itself will tell.
[[nodiscard]] std::optional<ComingTransfer> coming_transfer(const wire::Operation& operation,
                                                            const wire::Message& message);

/// Tells the GPU of the worker, if it has one.
void expect(Engine& engine, net::PeerId peer, const ComingTransfer& coming);

}  // namespace lmcache::engine
