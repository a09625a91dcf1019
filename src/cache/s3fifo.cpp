#include "cache/s3fifo.hpp"

#include <algorithm>

namespace lmcache::cache {

void S3Fifo::admit(ChunkId id, const Identity& identity) {
  nodes_.grow_to(id + 1);
  S3FifoNode& node = nodes_[id];
  node.name = identity.name;
  node.rounds = 0;
  node.in_main = ghosts_.take(node.name).has_value();
}

void S3Fifo::hit(ChunkId id) {
  nodes_[id].rounds = std::min(nodes_[id].rounds + 1, kMaxRounds);
}

/// Recency is no reason to stay; hits are.
void S3Fifo::touch(ChunkId /*id*/) {}

void S3Fifo::evicted(ChunkId id) {
  if (!nodes_[id].in_main) ghosts_.add(nodes_[id].name, nodes_[id].bytes);
  ghosts_.trim(small_.bytes() + main_.bytes());
}

bool S3Fifo::small_is_full() const noexcept {
  return small_.bytes() > (small_.bytes() + main_.bytes()) / kSmallShare;
}

std::optional<ChunkId> S3Fifo::victim(TenantId /*tenant*/) {
  for (;;) {
    const bool from_small = !small_.empty() && (main_.empty() || small_is_full());
    const ChunkId id = (from_small ? small_ : main_).oldest();
    if (id == kNoId || nodes_[id].rounds == 0) return id_or_nothing(id);
    remove(id);
    --nodes_[id].rounds;
    nodes_[id].in_main = true;
    main_.push_newest(nodes_, id);
  }
}

}  // namespace lmcache::cache
