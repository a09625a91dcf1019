// Longest servable prefix in one forward pass over a chain's chunks. Pure: sees shards, changes
// nothing.
//
// A *cell* is (layout, rank); a *row* one object group of a cell that a hit needs. Prefix length L
// is servable by a cell iff each full row has a run of presence [0,L) and each row of window w has
// one that ends at L and is at least min(w,L) long; it is servable iff every rank has a cell it is
// servable by. Because every row needs chunk L-1, only the cells that have a shard in a chunk can
// be servable there: a chunk costs as much as it has shards, whatever the world size. A cell keeps
// the groups of the chunk it was last seen in, so that its rows are looked at only when that set
// changes. Cells are made when they are first seen, those of layouts with full rows in the first
// chunk only: memory, too, goes by what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cache/chunk.hpp"

namespace lmcache::cache {

/// The rows of one layout. Auxiliary groups are in neither mask; windows <= 0 count as full.
struct HitLayout {
  LayoutId id = kNoId;
  std::uint64_t full = 0;              ///< mask of groups
  std::uint64_t windowed = 0;          ///< mask of groups
  std::vector<std::uint32_t> windows;  ///< chunks, by group

  HitLayout(LayoutId layout_id, const ObjectLayout& layout);
  /// A layout without any row would make everything a hit, so it serves nothing.
  [[nodiscard]] bool servable() const noexcept { return (full | windowed) != 0; }
};

class HitFinder {
 public:
  /// `layouts` are servable() and distinct; they must outlive the finder.
  HitFinder(std::uint32_t world_size, std::span<const HitLayout> layouts);

  /// The next chunk's shards, empty if it is absent. False: no longer prefix can be servable,
  /// whatever follows.
  bool add(std::span<const Shard> shards);
  /// The longest servable prefix of what was added.
  [[nodiscard]] std::uint32_t best() const noexcept { return best_; }
  /// What it would be if every windowed object were there, at least best().
  [[nodiscard]] std::uint32_t best_by_full() const noexcept {
    return every_layout_has_full_rows_ ? alive_length_ : best_;
  }
  /// How many cells have been made; for tests.
  [[nodiscard]] std::size_t cells() const noexcept { return cells_.size(); }

 private:
  struct Cell {
    std::uint64_t seen = 0;  ///< groups present in the chunk before `next`
    std::uint64_t ready_at =
        0;  ///< shortest length at which all windows are satisfied, if the runs go on
    std::uint32_t next = 0;      ///< one past the last chunk with a shard of this cell
    std::uint32_t full_end = 0;  ///< [0, full_end) is present in every full row
  };

  [[nodiscard]] const HitLayout* layout_of(LayoutId id, std::size_t& position) const noexcept;
  /// Where in cells_ it is, made if it can be of use any more; kNoId otherwise.
  [[nodiscard]] std::uint32_t cell_of(std::size_t position, std::uint32_t rank);
  void extend_windows(const HitLayout& layout, std::size_t cell, std::uint64_t present);

  std::uint32_t world_size_;
  std::span<const HitLayout> layouts_;
  bool every_layout_has_full_rows_ = true;
  std::uint32_t length_ = 0, best_ = 0, alive_length_ = 0;
  std::vector<std::vector<std::uint32_t>> ids_;  ///< [layout][rank] -> cell, made with its first
  std::vector<Cell> cells_;
  std::vector<std::uint32_t> run_starts_;      ///< [cell][group], made when a layout has windows
  std::size_t groups_ = 0;                     ///< row stride of run_starts_
  std::vector<std::uint32_t> served_, alive_;  ///< by rank: the last length counted in add()
};

}  // namespace lmcache::cache
