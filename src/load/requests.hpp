// Payload frames of requests, as the published client encodes them (docs/PROTOCOL.md). Pure.
#pragma once

#include "wire/message.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lmcache::load {

using Frames = std::vector<wire::Bytes>;

/// Which tokens of which sequence a request is about: all of them, from the first.
struct SequenceKey {
  std::string model;
  std::string request_id;
  std::vector<std::uint32_t> tokens;
};

/// Of a worker of rank 0, or of the scheduler, which has none.
[[nodiscard]] wire::Bytes encode_key(const SequenceKey& key, std::optional<std::int64_t> rank);

/// `block_ids` is an encoded list of lists, one per kernel group; `event` is what the copy waits
/// for, not encoded.
[[nodiscard]] Frames store_frames(const SequenceKey& key, std::int64_t instance,
                                  const wire::Bytes& block_ids, wire::ByteView event);
[[nodiscard]] Frames retrieve_frames(const SequenceKey& key, std::int64_t instance,
                                     const wire::Bytes& block_ids, wire::ByteView event);
/// Of lookup and free_lookup_locks.
[[nodiscard]] Frames lookup_frames(const SequenceKey& key);
[[nodiscard]] Frames wait_frames(const std::string& request_id, double seconds);

[[nodiscard]] wire::Bytes encode_integer(std::int64_t value);
[[nodiscard]] wire::Bytes encode_string(std::string_view value);
[[nodiscard]] wire::Bytes encode_boolean(bool value);

/// `count` tokens that no other seed gives.
[[nodiscard]] std::vector<std::uint32_t> tokens_of(std::uint64_t seed, std::size_t count);

}  // namespace lmcache::load
