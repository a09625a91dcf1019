#include "cache/hit_finder.hpp"

#include <algorithm>
#include <bit>

namespace lmcache::cache {

HitLayout::HitLayout(LayoutId layout_id, const ObjectLayout& layout) : id(layout_id) {
  for (std::size_t group = 0; group < layout.groups.size(); ++group) {
    const std::int32_t window = layout.groups[group].window_chunks;
    windows.push_back(window > 0 ? static_cast<std::uint32_t>(window) : 0);
    if (layout.groups[group].auxiliary) continue;
    (window > 0 ? windowed : full) |= std::uint64_t{1} << group;
  }
}

HitFinder::HitFinder(std::uint32_t world_size, std::span<const HitLayout> layouts)
    : world_size_(world_size),
      layouts_(layouts),
      ids_(layouts.size()),
      served_(world_size, 0),
      alive_(world_size, 0) {
  for (const HitLayout& layout : layouts_) {
    if (layout.full == 0) every_layout_has_full_rows_ = false;
    if (layout.windowed != 0) groups_ = std::max(groups_, layout.windows.size());
  }
}

const HitLayout* HitFinder::layout_of(LayoutId id, std::size_t& position) const noexcept {
  for (position = 0; position < layouts_.size(); ++position)
    if (layouts_[position].id == id) return &layouts_[position];
  return nullptr;
}

std::uint32_t HitFinder::cell_of(std::size_t position, std::uint32_t rank) {
  std::vector<std::uint32_t>& ids = ids_[position];
  const bool known = !ids.empty() && ids[rank] != kNoId;
  if (known) return ids[rank];
  if (length_ > 1 && layouts_[position].full != 0) return kNoId;
  if (ids.empty()) ids.resize(world_size_, kNoId);
  ids[rank] = static_cast<std::uint32_t>(cells_.size());
  cells_.emplace_back();
  run_starts_.resize(cells_.size() * groups_);
  return ids[rank];
}

bool HitFinder::add(std::span<const Shard> shards) {
  const std::uint32_t length = ++length_;
  std::uint32_t ranks_served = 0;
  std::uint32_t ranks_alive = 0;
  std::size_t position = 0;
  const HitLayout* layout = nullptr;
  for (const Shard& shard : shards) {
    if (layout == nullptr || layout->id != shard.layout) layout = layout_of(shard.layout, position);
    if (layout == nullptr) continue;
    const std::uint32_t index = cell_of(position, shard.rank);
    if (index == kNoId) continue;
    Cell& cell = cells_[index];
    if (layout->windowed != 0) extend_windows(*layout, index, shard.present);
    if (cell.full_end == length - 1 && (shard.present & layout->full) == layout->full)
      cell.full_end = length;
    if (layout->full != 0 && cell.full_end != length) continue;
    if (alive_[shard.rank] != length) {
      alive_[shard.rank] = length;
      ++ranks_alive;
    }
    if ((shard.present & layout->windowed) != layout->windowed || length < cell.ready_at) continue;
    if (served_[shard.rank] != length) {
      served_[shard.rank] = length;
      ++ranks_served;
    }
  }
  if (ranks_served == world_size_) best_ = length;
  if (ranks_alive == world_size_) alive_length_ = length;
  return ranks_alive == world_size_ || !every_layout_has_full_rows_;
}

void HitFinder::extend_windows(const HitLayout& layout, std::size_t cell_index,
                               std::uint64_t present) {
  Cell& cell = cells_[cell_index];
  present &= layout.windowed;
  const std::uint64_t running = cell.next == length_ - 1 ? cell.seen : 0;
  cell.next = length_;
  cell.seen = present;
  if (present == running) return;
  std::uint32_t* starts = &run_starts_[cell_index * groups_];
  cell.ready_at = 0;
  for (std::uint64_t left = present; left != 0; left &= left - 1) {
    const auto group = static_cast<std::size_t>(std::countr_zero(left));
    if ((running >> group & 1) == 0) starts[group] = length_ - 1;
    // A run that began with the chain is as long as any window may ask for.
    if (starts[group] != 0)
      cell.ready_at = std::max(cell.ready_at, std::uint64_t{starts[group]} + layout.windows[group]);
  }
}

}  // namespace lmcache::cache
