// Where objects lie: the pool, the layouts that somebody stores under, and of each shard which
// objects are there. Knows nothing of chunks, tenants or whose turn it is to go. Not thread-safe:
// under the cache's mutex.
//
// Memory that take() has given away, or remove() given back, is its caller's until add() took it or
// give_back() returned it.
// A shard has a reference on its layout, from shard_for() to drop().
#pragma once

#include <lmcache/cache.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

#include "cache/chunk.hpp"
#include "cache/names.hpp"
#include "pool/allocator.hpp"

namespace lmcache::cache {

class Objects {
 public:
  /// Objects start at multiples of `align_bytes` in the address space, wherever `memory` begins.
  Objects(std::span<std::byte> memory, std::uint64_t align_bytes, std::uint64_t part_bytes);

  /// Adds a reference; also works out the rounded sizes.
  [[nodiscard]] LayoutId acquire_layout(const LayoutPtr& layout);
  void release_layout(LayoutId id) { layouts_.release(id); }
  [[nodiscard]] const Layouts& layouts() const noexcept { return layouts_; }

  // Memory. Sizes are rounded ones (LayoutSlot::rounded).
  [[nodiscard]] std::byte* take(std::uint64_t bytes);  ///< nullptr: no free extent is that large
  void give_back(std::byte* memory, std::uint64_t bytes);
  /// Takes a unit and gives it back; false if the allocator's books do not agree with that.
  [[nodiscard]] bool probe();
  [[nodiscard]] const pool::Allocator& allocator() const noexcept { return allocator_; }

  // Shards and what is in them.
  [[nodiscard]] static const Shard* find(const Shards& shards, std::uint32_t rank,
                                         LayoutId layout) noexcept;
  /// Makes it, without objects, if it is not there.
  [[nodiscard]] Shard& shard_for(Shards& shards, std::uint32_t rank, LayoutId layout);
  /// The object is there.
  [[nodiscard]] std::byte* data(const Shard& shard, std::uint32_t group) noexcept;
  /// False if the shard has that object: the memory stays the caller's.
  [[nodiscard]] bool add(Shard& shard, std::uint32_t group, std::byte* memory);
  /// An object that is there is none any more; its memory is the caller's again.
  [[nodiscard]] std::byte* remove(Shard& shard, std::uint32_t group) noexcept;
  /// `groups` is a mask of objects that are there.
  void free(Shard& shard, std::uint64_t groups);
  /// Frees all of it; the shard is none any more.
  void drop(Shard& shard);

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::uint64_t windowed_count() const noexcept { return windowed_count_; }

 private:
  std::byte* base_;
  pool::Allocator allocator_;
  Layouts layouts_;
  std::uint64_t count_ = 0, windowed_count_ = 0;  ///< bits of Shard::present
};

}  // namespace lmcache::cache
