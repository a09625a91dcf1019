// One resident chunk and its shards, as small as they can be: a full pool has millions of them.
#pragma once

#include <lmcache/cache.hpp>

#include <boost/container/small_vector.hpp>
#include <cstdint>

namespace lmcache::cache {

using ChunkId = std::uint32_t;
using KeyspaceId = std::uint32_t;
using LayoutId = std::uint32_t;
using TenantId = std::uint32_t;
inline constexpr std::uint32_t kNoId = UINT32_MAX;

/// Objects of one (rank, layout). A bit of `present` per object group; offsets live with the layout
/// (names.hpp).
struct Shard {
  std::uint64_t present = 0;
  LayoutId layout = kNoId;
  std::uint32_t rank = 0;
  std::uint32_t offsets = kNoId;
};
using Shards = boost::container::small_vector<Shard, 1>;  ///< ascending (layout, rank)

/// Where a chunk is in its life. chunk_table.hpp draws the transitions.
enum class Place : std::uint8_t {
  kFree,      ///< the slot holds no chunk
  kHeld,      ///< in the index; pinned, or a chunk behind it is
  kOrdered,   ///< in the index and in the policy's order
  kParked,    ///< in the index; the policy chose it, but resident chunks follow it
  kNext,      ///< in the index; goes before anything the policy would choose
  kDetached,  ///< cleared by force: in no index, waiting for its last pin
};

struct Chunk {
  ChunkHash hash;
  std::uint64_t bytes = 0;         ///< pool bytes of all its objects
  std::uint64_t window_bytes = 0;  ///< of these, of windowed groups
  std::uint64_t busy_bytes = 0;    ///< of these, what cannot go now
  Shards shards;
  KeyspaceId keyspace = kNoId;
  ChunkId parent = kNoId;      ///< the chunk before it, if both are resident and have met
  std::uint32_t children = 0;  ///< resident chunks whose parent this is
  std::uint32_t pins = 0;      ///< leases, tickets and reads
  std::uint32_t holds = 0;     ///< pins, plus children that are held themselves
  std::uint32_t depth = 0;     ///< index in the chain that created it; parents are always less deep
  std::uint32_t window_pins = 0;  ///< those of the pins that need its windowed objects
  Place place = Place::kFree;
  std::uint8_t rung = 0;   ///< thinner.hpp; 0: not there
  std::uint8_t ended = 0;  ///< lookups that ended here or would have; saturates
  bool is_end = false;     ///< of the latest store of a sequence
};

}  // namespace lmcache::cache
