// A small cache over plain memory, and short ways to store, look up and check bytes.
#pragma once

#include <gtest/gtest.h>
#include <lmcache/cache.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lmcache::test {

inline constexpr std::uint64_t kUnit = 4096;

/// Memory of whole units that starts at a unit.
class Pool {
 public:
  explicit Pool(std::uint64_t units)
      : memory_(static_cast<std::byte*>(std::aligned_alloc(kUnit, units * kUnit))),
        bytes_(units * kUnit) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { std::free(memory_); }
  [[nodiscard]] std::span<std::byte> memory() const { return {memory_, bytes_}; }

 private:
  std::byte* memory_;
  std::uint64_t bytes_;
};

inline ChunkHash hash_of(std::uint64_t n) {
  ChunkHash hash;
  std::memcpy(hash.bytes.data(), &n, sizeof n);
  return hash;
}

/// Hashes of one sequence; sequences of different seeds share none.
inline std::vector<ChunkHash> chain_of(std::uint64_t seed, std::size_t chunks) {
  std::vector<ChunkHash> chain;
  for (std::size_t i = 0; i < chunks; ++i) chain.push_back(hash_of(seed << 32 | i));
  return chain;
}

/// Groups of one unit each with these windows; layouts of different `id` never share an object.
inline LayoutPtr layout_of(std::uint8_t id, const std::vector<std::int32_t>& windows,
                           std::uint64_t bytes = kUnit) {
  auto layout = std::make_shared<ObjectLayout>();
  layout->fingerprint[0] = std::byte{id};
  for (const std::int32_t window : windows) layout->groups.push_back({bytes, window, false});
  return layout;
}

/// All chunks of all groups.
inline std::vector<std::vector<bool>> all_of(const LayoutPtr& layout, std::size_t chunks) {
  return std::vector<std::vector<bool>>(layout->groups.size(), std::vector<bool>(chunks, true));
}

struct Side {  ///< who stores
  Keyspace keyspace{"model", "", 1};
  std::uint32_t rank = 0;
  LayoutPtr layout = layout_of(1, {-1});
};

inline Side with_layout(LayoutPtr layout) {
  Side side;
  side.layout = std::move(layout);
  return side;
}

inline Result<StoreTicket> reserve(Cache& cache, const Side& side, std::span<const ChunkHash> chain,
                                   std::uint32_t first = 0) {
  return cache.reserve(side.keyspace, side.rank, side.layout, chain, first,
                       all_of(side.layout, chain.size() - first));
}

/// One byte that says whose object it is.
inline std::byte mark_of(const Side& side, const ChunkHash& hash, std::uint32_t group) {
  std::uint64_t n = 0;
  std::memcpy(&n, hash.bytes.data(), sizeof n);
  n = (n * 31 + group) * 31 + side.rank;
  n = n * 31 + std::to_integer<std::uint64_t>(side.layout->fingerprint[0]);
  n = n * 31 + std::hash<std::string>{}(side.keyspace.model + "/" + side.keyspace.salt);
  return static_cast<std::byte>((n * 0x9e3779b97f4a7c15u) >> 56);
}

inline void fill_objects(const StoreTicket& ticket, const Side& side,
                         std::span<const ChunkHash> chain) {
  for (const ObjectRef& object : ticket.objects())
    std::memset(object.data, std::to_integer<int>(mark_of(side, chain[object.chunk], object.group)),
                object.bytes);
}

/// Reserve, fill, commit. False: no memory.
inline bool store(Cache& cache, const Side& side, std::span<const ChunkHash> chain,
                  std::uint32_t first = 0) {
  auto ticket = reserve(cache, side, chain, first);
  if (!ticket) {
    EXPECT_EQ(ticket.error().cause, Cause::kNoMemory) << ticket.error().text;
    return false;
  }
  fill_objects(*ticket, side, chain);
  cache.commit(std::move(*ticket));
  return true;
}

inline Lease lookup(Cache& cache, const Side& side, std::span<const ChunkHash> chain) {
  return cache.lookup(side.keyspace, chain, std::span(&side.layout, 1));
}

/// Chunks of the hit; nothing stays leased.
inline std::uint32_t hit(Cache& cache, const Side& side, std::span<const ChunkHash> chain) {
  return lookup(cache, side, chain).chunks();
}

/// Every byte of every object is what fill_objects() wrote.
inline void expect_own_bytes(const ReadPins& pins, const Side& side,
                             std::span<const ChunkHash> chain) {
  for (const ObjectRef& object : pins.objects()) {
    const std::byte mark = mark_of(side, chain[object.chunk], object.group);
    const std::span bytes(object.data, object.bytes);
    ASSERT_TRUE(std::ranges::all_of(bytes, [&](std::byte b) { return b == mark; }))
        << "chunk " << object.chunk << " group " << object.group;
  }
}

/// (chunk, group) of every object, sorted.
inline std::vector<std::pair<std::uint32_t, std::uint32_t>> places(
    std::span<const ObjectRef> objects) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> places;
  for (const ObjectRef& object : objects) places.emplace_back(object.chunk, object.group);
  std::ranges::sort(places);
  return places;
}

inline void expect_empty(const Cache& cache) {
  const CacheStats stats = cache.stats();
  EXPECT_EQ(stats.used_bytes, 0u);
  EXPECT_EQ(stats.free_bytes, stats.total_bytes);
  EXPECT_EQ(stats.largest_free_bytes, stats.total_bytes);
  EXPECT_EQ(stats.objects, 0u);
  EXPECT_EQ(stats.chunks, 0u);
  EXPECT_EQ(stats.pinned_chunks, 0u);
  EXPECT_EQ(stats.reserved_bytes, 0u);
}

}  // namespace lmcache::test
