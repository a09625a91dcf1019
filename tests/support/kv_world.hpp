// A registration with memory behind it, block ids for a few chunks, and what copies should make of
// both: the CPU's planner, which tests/unit/copy proves element by element.
#pragma once

#include "copy/move.hpp"
#include "copy/plan.hpp"
#include "support/kv_cases.hpp"

#include <lmcache/cache.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace lmcache::test {

using Bytes = std::vector<std::byte>;

inline void fill_random(std::span<std::byte> bytes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  for (; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(random());
}

struct World {
  std::shared_ptr<Geometry> geometry = std::make_shared<Geometry>();
  std::vector<Bytes> segments;  ///< host copies of what the engine has; one per tensor, or a pool
  std::vector<std::byte*> bases;
  copy::BlockIdLists ids;
  std::uint32_t chunks = 0;

  /// Tensors with segments larger than their own view are views of one pool.
  World(const KvCase& kv, std::uint32_t chunk_tokens, std::uint32_t chunk_count, std::uint64_t seed)
      : chunks(chunk_count) {
    GeometryOptions options;
    options.chunk_tokens = chunk_tokens;
    auto built = build_geometry(kv.made.tensors, kv.engine, kv.made.hints, kv.made.infos, options);
    if (!built) throw std::runtime_error(kv.name + ": " + built.error().text);
    *geometry = std::move(*built);
    const bool pool = kv.made.tensors[0].segment_bytes > span_bytes(kv.made.tensors[0]);
    for (const TensorDesc& tensor : kv.made.tensors) {
      if (!pool || segments.empty()) segments.emplace_back(tensor.segment_bytes);
    }
    for (std::size_t t = 0; t < kv.made.tensors.size(); ++t)
      bases.push_back(segments[pool ? 0 : t].data());
    for (std::size_t s = 0; s < segments.size(); ++s) fill_random(segments[s], seed + s);
    shuffle_ids(seed);
  }

  [[nodiscard]] std::size_t segment_of(std::size_t tensor) const {
    return segments.size() == 1 ? 0 : tensor;
  }

  /// New block ids, none twice within an engine group, nor within a pool that groups share; groups
  /// of one engine group get the same.
  void shuffle_ids(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::map<std::int64_t, std::vector<std::int64_t>> lists;
    std::vector<std::int64_t> blocks;
    const bool pool = segments.size() < bases.size();
    ids.clear();
    for (const KernelGroup& group : geometry->kernel_groups) {
      std::vector<std::int64_t>& list = lists[group.engine_group_id];
      if (list.empty()) {
        if (!pool || blocks.empty()) {
          blocks.resize(group.num_blocks - 1);  // block 0 is the null block
          std::iota(blocks.begin(), blocks.end(), 1);
          std::shuffle(blocks.begin(), blocks.end(), random);
        }
        const std::size_t count = std::size_t{chunks} * group.ids_per_chunk;
        if (blocks.size() < count) throw std::runtime_error("too few blocks for the ids");
        list.assign(blocks.end() - static_cast<std::ptrdiff_t>(count), blocks.end());
        blocks.resize(blocks.size() - count);
      }
      ids.push_back(list);
    }
  }

  /// Every object of every chunk, laid out at `align` in memory that starts at `memory`.
  [[nodiscard]] std::vector<ObjectRef> objects(std::byte* memory, std::uint64_t align) const {
    std::vector<ObjectRef> out;
    for (std::uint32_t chunk = 0; chunk < chunks; ++chunk)
      for (std::uint32_t g = 0; g < geometry->object_groups.size(); ++g) {
        out.push_back({g, chunk, memory, geometry->object_groups[g].bytes});
        memory += (geometry->object_groups[g].bytes + align - 1) / align * align;
      }
    return out;
  }
  [[nodiscard]] std::uint64_t object_bytes(std::uint64_t align) const {
    std::uint64_t bytes = 0;
    for (const ObjectGroup& group : geometry->object_groups)
      bytes += (group.bytes + align - 1) / align * align;
    return bytes * chunks;
  }

  /// What the copy should do, done on the host: `where` are the bases to use.
  void copy(copy::Direction direction, std::span<const ObjectRef> objects, std::int64_t null_id,
            std::uint64_t skip) {
    std::vector<copy::Run> runs;
    for (const ObjectRef& object : objects)
      copy::plan_object(*geometry, object.group, ids, object.chunk, object.data, bases, null_id,
                        skip, runs);
    for (const copy::Run& run : runs) copy::move_run(run, direction);
    copy::finish_moves();
  }
};

/// Dense bf16, `layers` tensors of K and V planes.
inline KvCase dense_model(std::int64_t blocks, std::size_t layers) {
  KvCase kv;
  kv.name = "dense";
  kv.made.hints = kv_layout("NHD");
  kv.made.tensors.assign(layers, dense("bfloat16", {blocks, 2, 16, 8, 128}));
  Sizes all(layers);
  std::iota(all.begin(), all.end(), 0);
  kv.made.infos = {group_info(0, all, 16)};
  return kv;
}

}  // namespace lmcache::test
