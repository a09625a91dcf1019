// Names of chunks that were evicted, oldest first, how many bytes they had, and what else a policy
// wants to know of them. Takes no more room than the most names that it ever kept at once: trimmed
// by bytes by its owner. Every function is O(1); the table of names is in parts, as the index is,
// so that none of them takes long to grow.
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <optional>

#include "cache/list.hpp"

namespace lmcache::cache {

template <class More>
class GhostsWith {
 public:
  struct Ghost {
    std::uint64_t bytes;
    More more;
  };

  /// As the newest. False if the name is there already, or had no bytes: what made no room by going
  /// is not remembered, for no number of its kind would ever be trimmed.
  bool add(std::uint64_t name, std::uint64_t bytes, const More& more) {
    if (bytes == 0) return false;
    const auto [place, is_new] = part(name).try_emplace(name, kNoId);
    if (!is_new) return false;
    const Slot slot = place->second = unused_slot();
    nodes_[slot].name = name;
    nodes_[slot].bytes = bytes;
    nodes_[slot].more = more;
    order_.push_newest(nodes_, slot);
    ++size_;
    return true;
  }
  /// Forgets the name; what was known if it was there.
  std::optional<Ghost> take(std::uint64_t name) {
    Part& names = part(name);
    const auto found = names.find(name);
    if (found == names.end()) return std::nullopt;
    const Slot slot = found->second;
    names.erase(found);
    order_.erase(nodes_, slot);
    nodes_[slot].newer = unused_;
    unused_ = slot;
    --size_;
    return Ghost{nodes_[slot].bytes, nodes_[slot].more};
  }
  /// Forgets the oldest until no more than `bytes` are left, or some now and the rest with the next
  /// calls: after a clear there may be millions, and others wait. `forgotten` is told of each.
  template <class Forgotten>
  void trim(std::uint64_t bytes, Forgotten forgotten) {
    for (int gone = 0; gone < kTrimmedAtOnce && order_.bytes() > bytes; ++gone)
      forgotten(*take(nodes_[order_.oldest()].name));
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return order_.bytes(); }
  /// Names, and for how many there is room; the latter for tests.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_; }

 private:
  using Slot = std::uint32_t;
  static constexpr int kTrimmedAtOnce = 64;
  struct Node : ListNode {  ///< unused: `newer` is the next unused one
    std::uint64_t name = 0;
    [[no_unique_address]] More more{};
  };
  using Part = boost::unordered_flat_map<std::uint64_t, Slot>;
  [[nodiscard]] Part& part(std::uint64_t name) noexcept {
    return by_name_[name >> 24 & (by_name_.size() - 1)];
  }
  [[nodiscard]] Slot unused_slot() {
    if (unused_ == kNoId) {
      nodes_.grow_to(slots_ + 1);
      return slots_++;
    }
    const Slot slot = unused_;
    unused_ = nodes_[slot].newer;
    return slot;
  }
  std::array<Part, 64> by_name_;
  Paged<Node> nodes_;
  List<Node> order_;
  Slot unused_ = kNoId, slots_ = 0;
  std::size_t size_ = 0;
};

struct NothingMore {};

/// Names and bytes alone.
class Ghosts : private GhostsWith<NothingMore> {
 public:
  using GhostsWith::bytes;
  using GhostsWith::size;
  using GhostsWith::slots;
  /// As the newest; a name that is there already moves.
  void add(std::uint64_t name, std::uint64_t bytes) {
    take(name);
    GhostsWith::add(name, bytes, {});
  }
  /// Forgets the name; its bytes if it was there.
  std::optional<std::uint64_t> take(std::uint64_t name) {
    const auto ghost = GhostsWith::take(name);
    return ghost ? std::optional(ghost->bytes) : std::nullopt;
  }
  void trim(std::uint64_t bytes) {
    GhostsWith::trim(bytes, [](const Ghost&) {});
  }
};

}  // namespace lmcache::cache
