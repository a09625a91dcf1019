// (keyspace, chunk hash) -> chunk id. Entries hold the id and the mixed hash only: 16 bytes, and
// growing never looks at chunks. The table is in many parts, so that one insert never waits for
// more than a part's growth: a fraction of a millisecond where the whole would take half a second.
#pragma once

#include <lmcache/cache.hpp>

#include <boost/unordered/unordered_flat_set.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cache/chunk.hpp"
#include "cache/paged.hpp"

namespace lmcache::cache {

class ChunkIndex {
 public:
  /// `chunks` is where ids lead to; it must outlive the index.
  explicit ChunkIndex(const Paged<Chunk>& chunks);

  [[nodiscard]] ChunkId find(KeyspaceId keyspace, const ChunkHash& hash) const;  ///< kNoId: absent
  /// chunks[id] is filled in and not yet in the index.
  void insert(ChunkId id);
  void erase(ChunkId id);
  /// What find() compares first: tells chunks apart but for one pair in 2^64.
  [[nodiscard]] std::uint64_t name(ChunkId id) const noexcept {
    return probe(chunks_[id].keyspace, chunks_[id].hash).mixed;
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  struct Entry {
    std::uint64_t mixed;
    ChunkId id;
  };
  struct Probe {
    std::uint64_t mixed;
    KeyspaceId keyspace;
    const ChunkHash* hash;
  };
  struct Hash {
    using is_transparent = void;
    using is_avalanching = void;
    std::size_t operator()(const Entry& entry) const noexcept { return entry.mixed; }
    std::size_t operator()(const Probe& probe) const noexcept { return probe.mixed; }
  };
  struct Equal {
    using is_transparent = void;
    const Paged<Chunk>* chunks;
    bool operator()(const Entry& a, const Entry& b) const noexcept { return a.id == b.id; }
    bool operator()(const Probe& a, const Entry& b) const noexcept;
    bool operator()(const Entry& a, const Probe& b) const noexcept { return (*this)(b, a); }
  };

  [[nodiscard]] Probe probe(KeyspaceId keyspace, const ChunkHash& hash) const noexcept;

  const Paged<Chunk>& chunks_;
  using Part = boost::unordered_flat_set<Entry, Hash, Equal>;
  static constexpr std::size_t kParts = 256;
  /// Bits in the middle: a part uses the lowest and the highest itself.
  [[nodiscard]] static std::size_t part_of(std::uint64_t mixed) noexcept {
    return mixed >> 24 & (kParts - 1);
  }

  std::uint64_t seed_[2];
  std::vector<Part> parts_;
  std::size_t size_ = 0;
};

}  // namespace lmcache::cache
