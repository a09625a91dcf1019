// Doubly linked lists of ids, from oldest to newest, whose links lie in an array by id that several
// lists share: an id is in at most one of them. A list knows how many bytes its ids weigh.
#pragma once

#include <cstdint>

#include "cache/chunk.hpp"
#include "cache/paged.hpp"

namespace lmcache::cache {

/// What an array that lists share must have per id; users add fields of their own.
struct ListNode {
  std::uint64_t bytes = 0;  ///< constant while in a list
  ChunkId newer = kNoId, older = kNoId;
};

/// Every function is O(1). `nodes[id]` exists.
template <class Node>
class List {
 public:
  void push_newest(Paged<Node>& nodes, ChunkId id) noexcept {
    nodes[id].newer = kNoId;
    nodes[id].older = newest_;
    (newest_ == kNoId ? oldest_ : nodes[newest_].newer) = id;
    newest_ = id;
    bytes_ += nodes[id].bytes;
  }
  void erase(Paged<Node>& nodes, ChunkId id) noexcept {
    const Node& node = nodes[id];
    (node.newer == kNoId ? newest_ : nodes[node.newer].older) = node.older;
    (node.older == kNoId ? oldest_ : nodes[node.older].newer) = node.newer;
    bytes_ -= node.bytes;
  }
  void make_newest(Paged<Node>& nodes, ChunkId id) noexcept {
    if (id == newest_) return;
    erase(nodes, id);
    push_newest(nodes, id);
  }
  /// All of `newer`, which is empty then, in their order behind what is here.
  void append(Paged<Node>& nodes, List& newer) noexcept {
    if (newer.empty()) return;
    nodes[newer.oldest_].older = newest_;
    (newest_ == kNoId ? oldest_ : nodes[newest_].newer) = newer.oldest_;
    newest_ = newer.newest_;
    bytes_ += newer.bytes_;
    newer = {};
  }
  [[nodiscard]] ChunkId oldest() const noexcept { return oldest_; }  ///< kNoId: empty
  [[nodiscard]] ChunkId newest() const noexcept { return newest_; }  ///< kNoId: empty
  [[nodiscard]] bool empty() const noexcept { return oldest_ == kNoId; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  ChunkId oldest_ = kNoId, newest_ = kNoId;
  std::uint64_t bytes_ = 0;
};

}  // namespace lmcache::cache
