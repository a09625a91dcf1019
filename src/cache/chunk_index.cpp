#include "cache/chunk_index.hpp"

#include "pool/invariant.hpp"

#include <lmcache/keyed_hash.hpp>

#include <bit>
#include <cstring>

namespace lmcache::cache {

ChunkIndex::ChunkIndex(const Paged<Chunk>& chunks)
    : chunks_(chunks),
      seed_{random_word(), random_word()},
      parts_(kParts, Part(0, Hash{}, Equal{&chunks})) {}

// The digest's bytes are well mixed already, but a client may choose tokens until digests share the
// bits a table looks at; the seeds, new in every process, keep it from knowing which bits those
// are.
ChunkIndex::Probe ChunkIndex::probe(KeyspaceId keyspace, const ChunkHash& hash) const noexcept {
  std::uint64_t words[4];
  std::memcpy(words, hash.bytes.data(), sizeof words);
  const std::uint64_t left = multiply_fold(words[0] ^ seed_[0], words[1] ^ seed_[1]);
  const std::uint64_t right =
      multiply_fold(words[2] ^ seed_[1], words[3] ^ std::rotl(seed_[0], 32) ^ keyspace);
  return {multiply_fold(left ^ seed_[0], right ^ 0x9e3779b97f4a7c15u), keyspace, &hash};
}

bool ChunkIndex::Equal::operator()(const Probe& a, const Entry& b) const noexcept {
  if (a.mixed != b.mixed) return false;
  const Chunk& chunk = (*chunks)[b.id];
  return chunk.keyspace == a.keyspace && chunk.hash == *a.hash;
}

ChunkId ChunkIndex::find(KeyspaceId keyspace, const ChunkHash& hash) const {
  const Probe wanted = probe(keyspace, hash);
  const Part& part = parts_[part_of(wanted.mixed)];
  const auto found = part.find(wanted);
  return found == part.end() ? kNoId : found->id;
}

void ChunkIndex::insert(ChunkId id) {
  const std::uint64_t mixed = name(id);
  if (parts_[part_of(mixed)].insert(Entry{mixed, id}).second) ++size_;
}

void ChunkIndex::erase(ChunkId id) {
  const Chunk& chunk = chunks_[id];
  const Probe wanted = probe(chunk.keyspace, chunk.hash);
  Part& part = parts_[part_of(wanted.mixed)];
  const auto found = part.find(wanted);
  invariant(found != part.end(), "a chunk in the index can be found there");
  part.erase(found);
  --size_;
}

}  // namespace lmcache::cache
