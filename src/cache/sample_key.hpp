// The numbers by which obs::Lives knows an object, a chunk of a rank, and whether it samples them.
#pragma once

#include <lmcache/cache.hpp>
#include <lmcache/keyed_hash.hpp>

#include <cstdint>
#include <cstring>

namespace lmcache::cache {

[[nodiscard]] inline std::uint64_t sample_word(const ChunkHash& hash) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, hash.bytes.data(), sizeof word);
  return word;
}

[[nodiscard]] inline std::uint64_t sample_key(const Keyspace& keyspace, const ChunkHash& hash,
                                              std::uint32_t rank) {
  const KeyedHash mix;
  const std::uint64_t place = std::uint64_t{keyspace.world_size} << 32 | rank;
  return mix(hash.bytes, mix(keyspace.salt, mix(keyspace.model, place)));
}

/// Of one object of it.
[[nodiscard]] inline std::uint64_t sample_key(std::uint64_t chunk, std::uint32_t group) {
  return KeyedHash{}(std::uint64_t{group} + 1) ^ chunk;
}

}  // namespace lmcache::cache
