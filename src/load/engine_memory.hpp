// The paged KV memory of one engine worker: tensors, block ids as a scheduler
// under load hands them out (in no order, null where a window has passed), and bytes that can be
// checked after they have been through a server. One thread at a time.
#pragma once

#include "geometry/models.hpp"
#include "load/requests.hpp"
#include "load/tensor_memory.hpp"

#include <map>
#include <memory>
#include <vector>

namespace lmcache::load {

class EngineMemory {
 public:
  /// Memory for `chunks` chunks and the null block. Throws std::runtime_error where there is too
  /// little memory, or the model's blocks do not fit the chunk.
  EngineMemory(geometry::MakeRegistration make, std::uint32_t chunk_tokens, std::uint32_t chunks,
               MakeTensors make_tensors = &make_shared_tensors);

  [[nodiscard]] std::size_t tokens() const { return std::size_t{chunk_tokens_} * chunks_; }
  /// What a store of all chunks moves.
  [[nodiscard]] std::uint64_t stored_bytes() const { return object_bytes(false); }
  /// Less: of windowed groups only the last chunks come back.
  [[nodiscard]] std::uint64_t retrieved_bytes() const { return object_bytes(true); }
  /// Blocks that a retrieve brings back.
  [[nodiscard]] std::uint64_t retrieved_blocks() const;

  /// Payload of register_kv_cache.
  [[nodiscard]] Frames registration(std::int64_t instance, const std::string& model) const;
  /// Encoded, one list per kernel group.
  [[nodiscard]] wire::Bytes block_ids() const;

  /// Every page that a store reads gets the bytes that belong to `seed`.
  void fill(std::uint64_t seed);
  void wipe();
  /// Blocks that a retrieve brings back and that have not the bytes that fill(seed) wrote.
  [[nodiscard]] std::uint64_t bad_blocks(std::uint64_t seed) const;

  [[nodiscard]] TensorMemory& tensors() { return *memory_; }

 private:
  struct Block {
    std::int64_t engine_group, id;
    bool retrieved;
  };
  /// What a page belongs to.
  struct Origin {
    std::size_t block;    ///< index
    std::uint64_t place;  ///< a seed of its own
  };
  static Geometry geometry_of(const geometry::Registration& from, std::uint32_t chunk_tokens);
  void number_blocks(const Geometry& geometry);
  [[nodiscard]] std::uint64_t object_bytes(bool windowed) const;
  void place_pages();
  [[nodiscard]] std::size_t segment_of(std::size_t tensor) const;
  [[nodiscard]] Page page(std::size_t tensor, std::int64_t block) const;

  std::uint32_t chunk_tokens_, chunks_;
  std::map<std::int64_t, std::vector<std::int64_t>> ids_;  ///< by engine group; 0: null block
  std::vector<Block> blocks_;    ///< all but the null block; those that are retrieved come first
  std::vector<Page> pages_;      ///< in the order of their blocks
  std::vector<Origin> origins_;  ///< of each page
  std::size_t retrieved_pages_ = 0;
  std::map<std::int64_t, std::vector<std::size_t>> tensors_of_;  ///< by engine group
  geometry::Registration registration_;
  Geometry geometry_;
  std::unique_ptr<TensorMemory> memory_;
};

}  // namespace lmcache::load
