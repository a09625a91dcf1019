// What policies have in common whose order is one or several lists: a chunk comes in as the newest
// of its list, a touch makes it that again. Which list is a chunk's, and which list's oldest goes
// next, is up to the policy.
#pragma once

#include "cache/list.hpp"
#include "cache/policy.hpp"

namespace lmcache::cache {

/// `Node` is a ListNode with what else the policy knows of a chunk; admit() must make room in
/// nodes_.
template <class Node>
class ListPolicy : public Policy {
 public:
  void insert(ChunkId id, std::uint64_t bytes) override {
    nodes_[id].bytes = bytes;
    list(id).push_newest(nodes_, id);
  }
  void touch(ChunkId id) override { list(id).make_newest(nodes_, id); }
  void remove(ChunkId id) override { list(id).erase(nodes_, id); }

 protected:
  /// Where it is or, out of order, is to go. Changes only while it is out of order.
  [[nodiscard]] virtual List<Node>& list(ChunkId id) noexcept = 0;

  Paged<Node> nodes_;
};

}  // namespace lmcache::cache
