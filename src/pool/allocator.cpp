#include "pool/allocator.hpp"

#include <algorithm>
#include <bit>

#include "pool/invariant.hpp"

namespace lmcache::pool {

Allocator::Allocator(std::uint64_t total_bytes, std::uint64_t align_bytes, std::uint64_t part_bytes)
    : shift_(static_cast<unsigned>(std::countr_zero(align_bytes))),
      end_(total_bytes >> (shift_ & 63u)),
      lists_(kExactUnits, kNone) {
  invariant(std::has_single_bit(align_bytes), "the pool's alignment is a power of two");
  invariant(part_bytes % align_bytes == 0, "parts are whole units");
  const Units part = part_bytes > 0 ? part_bytes >> shift_ : end_;
  for (Units first = 0; first < end_; first += part) {
    const bool last = end_ - first <= part;
    const Units count = last ? end_ - first : part - 1;
    if (count > 0) add(first, count);
    total_ += count;
    largest_ = std::max(largest_, count);
  }
}

std::uint64_t Allocator::rounded(std::uint64_t bytes) const noexcept {
  const std::uint64_t unit = std::uint64_t{1} << shift_;
  if (bytes > UINT64_MAX - unit) return UINT64_MAX;
  return std::max(unit, (bytes + unit - 1) >> shift_ << shift_);
}

std::optional<std::uint64_t> Allocator::allocate(std::uint64_t bytes) {
  const std::uint64_t size = rounded(bytes);
  if (size > free_bytes()) return std::nullopt;
  const Units count = size >> shift_;
  const NodeId id = best_fit(count);
  if (id == kNone) return std::nullopt;

  const Units first = nodes_[id].first;
  if (nodes_[id].count == count) {
    remove(id);
    return first << shift_;
  }
  unfile(id);
  by_first_.erase(first);
  nodes_[id].first += count;
  nodes_[id].count -= count;
  by_first_.emplace(nodes_[id].first, id);
  file(id);
  free_ -= count;
  return first << shift_;
}

void Allocator::free(std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t size = rounded(bytes);
  invariant(size <= used_bytes() && offset <= (end_ << shift_) - size &&
                offset % (std::uint64_t{1} << shift_) == 0,
            "what is freed was allocated from this pool");
  Units first = offset >> shift_;
  Units count = size >> shift_;
  invariant(!by_first_.contains(first) && !by_end_.contains(first + count),
            "what is freed was not free already");
  if (const auto left = by_end_.find(first); left != by_end_.end()) {
    const Node node = nodes_[left->second];
    remove(left->second);
    first = node.first;
    count += node.count;
  }
  if (const auto right = by_first_.find(first + count); right != by_first_.end()) {
    const Node node = nodes_[right->second];
    remove(right->second);
    count += node.count;
  }
  add(first, count);
}

std::uint64_t Allocator::largest_free_bytes() const noexcept {
  if (!large_.empty()) return large_.rbegin()->first << shift_;
  for (std::size_t i = filled_words_.size(); i-- > 0;) {
    if (filled_words_[i] == 0) continue;
    const std::size_t word =
        i * 64 + static_cast<std::size_t>(std::bit_width(filled_words_[i])) - 1;
    return (word * 64 + static_cast<std::size_t>(std::bit_width(filled_[word])) - 1) << shift_;
  }
  return 0;
}

std::vector<Extent> Allocator::free_extents() const {
  std::vector<Extent> extents;
  extents.reserve(by_first_.size());
  for (const auto& [first, id] : by_first_)
    extents.push_back({first << shift_, nodes_[id].count << shift_});
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  return extents;
}

void Allocator::add(Units first, Units count) {
  NodeId id = 0;
  if (unused_nodes_.empty()) {
    id = static_cast<NodeId>(nodes_.size());
    nodes_.emplace_back();
  } else {
    id = unused_nodes_.back();
    unused_nodes_.pop_back();
  }
  nodes_[id] = {first, count, kNone, kNone};
  by_first_.emplace(first, id);
  by_end_.emplace(first + count, id);
  file(id);
  free_ += count;
}

void Allocator::remove(NodeId id) {
  unfile(id);
  by_first_.erase(nodes_[id].first);
  by_end_.erase(nodes_[id].first + nodes_[id].count);
  free_ -= nodes_[id].count;
  unused_nodes_.push_back(id);
}

void Allocator::file(NodeId id) {
  Node& node = nodes_[id];
  if (node.count >= kExactUnits) {
    large_.emplace(node.count, node.first);
    return;
  }
  NodeId& head = lists_[node.count];
  node.prev = kNone;
  node.next = head;
  if (head != kNone)
    nodes_[head].prev = id;
  else
    mark(node.count, true);
  head = id;
}

void Allocator::unfile(NodeId id) {
  const Node& node = nodes_[id];
  if (node.count >= kExactUnits) {
    large_.erase({node.count, node.first});
    return;
  }
  if (node.next != kNone) nodes_[node.next].prev = node.prev;
  if (node.prev != kNone)
    nodes_[node.prev].next = node.next;
  else
    lists_[node.count] = node.next;
  if (lists_[node.count] == kNone) mark(node.count, false);
}

Allocator::NodeId Allocator::best_fit(Units count) const {
  if (count < kExactUnits) {
    const std::size_t list = list_from(count);
    if (list != 0) return lists_[list];
  }
  const auto fit = large_.lower_bound({count, 0});
  return fit == large_.end() ? kNone : by_first_.at(fit->second);
}

/// The first list at or behind `count` that is not empty; 0 if there is none (list 0 is always
/// empty).
std::size_t Allocator::list_from(std::size_t count) const noexcept {
  const std::size_t word = count / 64;
  if (const std::uint64_t here = filled_[word] >> (count % 64); here != 0)
    return count + static_cast<std::size_t>(std::countr_zero(here));
  std::size_t group = (word + 1) / 64;
  std::uint64_t words = group < filled_words_.size() ? filled_words_[group] : 0;
  words &= ~std::uint64_t{0} << ((word + 1) % 64);
  while (words == 0) {
    if (++group >= filled_words_.size()) return 0;
    words = filled_words_[group];
  }
  const std::size_t found = group * 64 + static_cast<std::size_t>(std::countr_zero(words));
  return found * 64 + static_cast<std::size_t>(std::countr_zero(filled_[found]));
}

void Allocator::mark(std::size_t list, bool filled) noexcept {
  const std::size_t word = list / 64;
  const std::uint64_t bit = std::uint64_t{1} << (list % 64);
  filled_[word] = filled ? filled_[word] | bit : filled_[word] & ~bit;
  const std::uint64_t word_bit = std::uint64_t{1} << (word % 64);
  std::uint64_t& summary = filled_words_[word / 64];
  summary = filled_[word] != 0 ? summary | word_bit : summary & ~word_bit;
}

}  // namespace lmcache::pool
