#include <bit>

#include "cache/impl.hpp"

namespace lmcache {
namespace {

/// Slots looked at before others are let in.
constexpr std::uint32_t kSlotsPerStep = 4096;

/// Appends objects of one chunk from ordinal `first` on; the ordinal it stopped at, or kNoId after
/// the last.
std::uint32_t append(const cache::Chunk& chunk, const Keyspace& keyspace,
                     const cache::Layouts& layouts, std::uint32_t first, std::size_t max,
                     std::vector<ListedObject>& out) {
  std::uint32_t ordinal = 0;
  for (const cache::Shard& shard : chunk.shards) {
    const auto& groups = layouts[shard.layout].layout->groups;
    for (std::uint64_t left = shard.present; left != 0; left &= left - 1, ++ordinal) {
      if (ordinal < first) continue;
      if (out.size() == max) return ordinal;
      const auto group = static_cast<std::uint32_t>(std::countr_zero(left));
      out.push_back({keyspace, chunk.hash, shard.rank, group, groups[group].bytes});
    }
  }
  return cache::kNoId;
}

/// Calls `visit(chunk)` for each resident chunk from slot `slot` on until it returns false, with
/// the lock held but for a pause now and then. `slot` is where it stopped; true: it saw all.
template <class Visit>
bool visit_chunks(const detail::Core& core, const cache::ChunkTable& table, std::uint32_t& slot,
                  Visit visit) {
  std::unique_lock lock(core.mutex);
  for (std::uint32_t looked_at = 1; slot < table.end(); ++slot, ++looked_at) {
    const cache::Chunk& chunk = table[slot];
    // A detached chunk is found by nobody any more.
    const bool resident =
        chunk.place != cache::Place::kFree && chunk.place != cache::Place::kDetached;
    if (resident && !visit(chunk)) return false;
    if (looked_at % kSlotsPerStep == 0) detail::let_others_in(lock);
  }
  return true;
}

}  // namespace

bool Cache::list(ListCursor& cursor, std::size_t max, const std::string& model,
                 std::vector<ListedObject>& out) const {
  cache::ChunkTable& table = impl_->table;
  return !visit_chunks(*impl_, table, cursor.chunk, [&](const cache::Chunk& chunk) {
    const Keyspace& keyspace = table.keyspaces()[chunk.keyspace];
    if (model.empty() || keyspace.model == model) {
      const std::uint32_t next = append(chunk, keyspace, table.layouts(), cursor.object, max, out);
      if (next != cache::kNoId) {
        cursor.object = next;
        return false;
      }
    }
    cursor.object = 0;
    return true;
  });
}

std::uint64_t Cache::pinned_objects() const {
  std::uint64_t objects = 0;
  std::uint32_t slot = 0;
  visit_chunks(*impl_, impl_->table, slot, [&](const cache::Chunk& chunk) {
    if (chunk.pins == 0) return true;
    for (const cache::Shard& shard : chunk.shards)
      objects += static_cast<std::uint64_t>(std::popcount(shard.present));
    return true;
  });
  return objects;
}

std::map<std::string, ModelUsage> Cache::usage_by_model() const {
  std::map<std::string, ModelUsage> usage;
  std::uint32_t slot = 0;
  visit_chunks(*impl_, impl_->table, slot, [&](const cache::Chunk& chunk) {
    ModelUsage& model = usage[impl_->table.keyspaces()[chunk.keyspace].model];
    model.resident_bytes += chunk.bytes;
    if (chunk.pins > 0) model.pinned_bytes += chunk.bytes;
    return true;
  });
  return usage;
}

}  // namespace lmcache
