#include "cache/wtinylfu.hpp"

namespace lmcache::cache {

void WTinyLfu::admit(ChunkId id, const Identity& identity) {
  nodes_.grow_to(id + 1);
  sketch_.grow_to(id + std::uint64_t{1});  // ids are dense: as many chunks were resident at once
  Node& node = nodes_[id];
  node.name = identity.name;
  node.part = Part::kWindow;
  node.hit = false;
  sketch_.see(identity.name);
}

void WTinyLfu::insert(ChunkId id, std::uint64_t bytes) {
  Node& node = nodes_[id];
  if (node.hit && node.part == Part::kProbation) node.part = Part::kProtected;
  node.hit = false;
  ListPolicy::insert(id, bytes);
  List<Node>& guarded = list(Part::kProtected);
  while (guarded.bytes() * 100 >
             (guarded.bytes() + list(Part::kProbation).bytes()) * kProtectedPercent &&
         guarded.oldest() != guarded.newest())
    move(guarded.oldest(), Part::kProbation);
}

void WTinyLfu::hit(ChunkId id) {
  nodes_[id].hit = true;
  sketch_.see(nodes_[id].name);
}

void WTinyLfu::move(ChunkId id, Part part) {
  remove(id);
  nodes_[id].part = part;
  list(part).push_newest(nodes_, id);
}

std::optional<ChunkId> WTinyLfu::victim(TenantId /*tenant*/) {
  List<Node>& window = list(Part::kWindow);
  List<Node>& probation = list(Part::kProbation);
  List<Node>& guarded = list(Part::kProtected);
  const std::uint64_t bytes = window.bytes() + probation.bytes() + guarded.bytes();
  const std::uint64_t share = bytes / kWindowShare;
  // What came while there was room need not prove itself: the window grows until the first
  // eviction.
  if (probation.bytes() + guarded.bytes() < bytes / 2)
    while (window.bytes() > share) move(window.oldest(), Part::kProbation);
  const ChunkId least = probation.empty() ? guarded.oldest() : probation.oldest();
  if (window.bytes() <= share) return id_or_nothing(least == kNoId ? window.oldest() : least);
  const ChunkId candidate = window.oldest();
  if (least == kNoId) return candidate;
  if (sketch_.estimate(nodes_[candidate].name) <= sketch_.estimate(nodes_[least].name))
    return candidate;
  move(candidate, Part::kProbation);
  return least;
}

}  // namespace lmcache::cache
