// Cuts the pool into extents by offset. Only free extents have a record, and none of it lies inside
// the pool.
//
// Sizes are whole units of the alignment. A request takes the front of the smallest free extent
// that holds it (best fit, exact): for sizes below kExactUnits there is one list per size and a
// bitmap over the lists, so the search looks at a few words; the few larger extents are in an
// ordered tree. Two hash maps from first and one-past-last unit find the neighbours of what is
// freed, and free neighbours merge at once: no two free extents ever touch.
//
//   free --allocate--> held by the caller --free--> free, merged
//
// Cost: O(1) below kExactUnits, else O(log of the number of larger free extents). Not thread-safe.
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace lmcache::pool {

struct Extent {
  std::uint64_t offset = 0;  ///< bytes from the start of the pool
  std::uint64_t bytes = 0;
  friend bool operator==(const Extent&, const Extent&) = default;
};

class Allocator {
 public:
  /// `align_bytes` is a power of two; what is left of `total_bytes` behind the last whole unit is
  /// not used.
  /// An extent never straddles a multiple of `part_bytes` (itself a multiple of the alignment; 0:
  /// one part): the unit before it is not used.
  Allocator(std::uint64_t total_bytes, std::uint64_t align_bytes, std::uint64_t part_bytes = 0);

  /// Offset of at least `bytes`, aligned; nothing if no free extent is that long. Zero bytes take
  /// one unit.
  [[nodiscard]] std::optional<std::uint64_t> allocate(std::uint64_t bytes);
  /// Gives back what allocate(bytes) returned. Anything else that can be told apart cheaply aborts.
  void free(std::uint64_t offset, std::uint64_t bytes);

  /// Bytes that allocate(bytes) takes; UINT64_MAX where no pool could hold it.
  [[nodiscard]] std::uint64_t rounded(std::uint64_t bytes) const noexcept;
  /// All that can be allocated: without the units between parts.
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return total_ << shift_; }
  [[nodiscard]] std::uint64_t free_bytes() const noexcept { return free_ << shift_; }
  [[nodiscard]] std::uint64_t used_bytes() const noexcept { return (total_ - free_) << shift_; }
  [[nodiscard]] std::uint64_t largest_free_bytes() const noexcept;
  /// The longest extent there can be, with nothing allocated.
  [[nodiscard]] std::uint64_t largest_possible_bytes() const noexcept { return largest_ << shift_; }
  /// Every free extent by ascending offset; O(n log n), for tests and reports.
  [[nodiscard]] std::vector<Extent> free_extents() const;

 private:
  using Units = std::uint64_t;
  using NodeId = std::uint32_t;
  static constexpr NodeId kNone = UINT32_MAX;
  static constexpr std::size_t kExactUnits = 16384;  ///< 64 MiB with 4096-byte units
  static constexpr std::size_t kWords = kExactUnits / 64;

  struct Node {
    Units first = 0, count = 0;
    NodeId prev = kNone, next = kNone;  ///< of the same size, while below kExactUnits
  };

  void add(Units first, Units count);
  void remove(NodeId id);
  void file(NodeId id);    ///< into its list or the tree, by its size
  void unfile(NodeId id);  ///< and out of it
  [[nodiscard]] NodeId best_fit(Units count) const;
  [[nodiscard]] std::size_t list_from(std::size_t count) const noexcept;
  void mark(std::size_t list, bool filled) noexcept;

  unsigned shift_;
  Units total_ = 0, free_ = 0, largest_ = 0;
  Units end_;  ///< first unit behind the pool
  std::vector<Node> nodes_;
  std::vector<NodeId> unused_nodes_;
  std::vector<NodeId> lists_;  ///< [size in units] -> first free extent of exactly that size
  std::array<std::uint64_t, kWords> filled_{};             ///< bit per list
  std::array<std::uint64_t, kWords / 64> filled_words_{};  ///< bit per word of filled_
  std::set<std::pair<Units, Units>> large_;                ///< (count, first)
  boost::unordered_flat_map<Units, NodeId> by_first_, by_end_;
};

}  // namespace lmcache::pool
