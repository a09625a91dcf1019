// An engine worker for load: its tensors in shared memory, its registration, and block ids as a
// scheduler under load hands them out (in no order, null where a window has passed).
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/harness.hpp"
#include "support/kv_tensors.hpp"

namespace lmcache::bench {

/// bf16, 32 layers, 8 heads of 128, blocks of 16: 128 KiB a token. Every tensor has a segment of
/// its own.
inline test::Registration dense_bf16(std::int64_t blocks) {
  constexpr std::int64_t kLayers = 32;
  test::Registration made;
  made.hints = test::kv_layout("NHD");
  made.infos = {test::group_info(0, {}, 16)};
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    made.tensors.push_back(test::dense("bfloat16", {blocks, 2, 16, 8, 128}));
    made.infos[0].layer_indices.push_back(layer);
  }
  return made;
}

class KvEngine {
 public:
  static constexpr std::uint32_t kChunkTokens = 256;
  using Make = test::Registration (*)(std::int64_t blocks);

  /// `shared_pool`: all tensors are views of one segment.
  KvEngine(std::string model, Make make, bool shared_pool, std::uint32_t chunks)
      : model_(std::move(model)), chunks_(chunks) {
    number_blocks(geometry_of(make(2)));
    registration_ = make(blocks_);
    geometry_ = geometry_of(registration_);
    for (const auto& tensor : registration_.tensors) {
      if (segments_.empty() || !shared_pool) {
        segments_.push_back(std::make_unique<test::SharedMemory>(tensor.segment_bytes));
      }
    }
    fill();
  }

  [[nodiscard]] const std::string& model() const { return model_; }
  [[nodiscard]] std::size_t tokens() const { return std::size_t{chunks_} * kChunkTokens; }
  [[nodiscard]] std::uint64_t stored_bytes() const { return bytes(false); }
  /// Of windowed groups only the last chunks come back.
  [[nodiscard]] std::uint64_t retrieved_bytes() const { return bytes(true); }

  [[nodiscard]] test::Frames registration(std::int64_t instance) const {
    test::Pack tensors, groups;
    tensors.array(registration_.tensors.size());
    for (std::size_t i = 0; i < registration_.tensors.size(); ++i) tensors.ext(1, descriptor(i));
    groups.array(registration_.infos.size());
    for (const GroupInfo& info : registration_.infos) {
      groups.map(4).string("engine_group_id").integer(info.engine_group_id);
      groups.string("layer_indices").integers(info.layer_indices);
      groups.string("tokens_per_block").integer(info.tokens_per_block);
      groups.string("sw_size_tokens").integer(info.sw_size_tokens);
    }
    return {test::Pack().integer(instance),
            tensors,
            test::Pack().string(model_),
            test::Pack().integer(1),
            test::Pack().string("vllm"),
            test::Pack().map(1).string("kv_layout").string(*registration_.hints.kv_layout),
            groups};
  }

  [[nodiscard]] wire::Bytes block_ids() const {
    test::Pack out;
    out.array(geometry_.kernel_groups.size());
    for (const KernelGroup& group : geometry_.kernel_groups) {
      out.integers(ids_.at(group.engine_group_id));
    }
    return out;
  }

  void fill() {
    for (auto& segment : segments_) {
      std::mt19937_64 random(1);
      auto* words = reinterpret_cast<std::uint64_t*>(segment->data());
      std::generate_n(words, segment->size() / sizeof *words, random);
    }
  }
  void zero() {
    for (auto& segment : segments_) std::fill_n(segment->data(), segment->size(), std::byte{0});
  }
  /// After zero() and a retrieve of everything: do all blocks but the null block hold what fill()
  /// wrote? For layouts whose blocks have no padding and that have a segment per tensor.
  [[nodiscard]] bool restored() const {
    return std::all_of(segments_.begin(), segments_.end(), [this](const auto& segment) {
      std::mt19937_64 random(1);
      const auto* words = reinterpret_cast<const std::uint64_t*>(segment->data());
      const std::size_t all = segment->size() / sizeof *words;
      for (std::size_t i = 0; i < all; ++i) {
        if (words[i] != random() && i >= all / static_cast<std::size_t>(blocks_)) return false;
      }
      return true;
    });
  }

 private:
  static Geometry geometry_of(const test::Registration& from) {
    return build_geometry(from.tensors, EngineType::kVllm, from.hints, from.infos, {}).value();
  }

  // One id space for all groups; id 0 is the null block.
  void number_blocks(const Geometry& geometry) {
    std::vector<std::int64_t*> kept;
    for (const KernelGroup& group : geometry.kernel_groups) {
      auto& list = ids_[group.engine_group_id];
      if (!list.empty()) continue;
      list.resize(std::size_t{chunks_} * group.ids_per_chunk, 0);
      for (std::size_t i = 0; i < list.size(); ++i) {
        if (i % group.ids_per_chunk >= group.ids_per_chunk - group.kept_ids)
          kept.push_back(&list[i]);
      }
    }
    std::vector<std::int64_t> numbers = test::ids_from(1, kept.size());
    std::shuffle(numbers.begin(), numbers.end(), std::mt19937(7));
    for (std::size_t i = 0; i < kept.size(); ++i) *kept[i] = numbers[i];
    blocks_ = static_cast<std::int64_t>(kept.size()) + 1;
  }

  [[nodiscard]] std::uint64_t bytes(bool windowed) const {
    std::uint64_t total = 0;
    for (const ObjectGroup& group : geometry_.object_groups) {
      const bool cut = windowed && group.window_chunks > 0;
      total += group.bytes *
               (cut ? std::min(chunks_, static_cast<std::uint32_t>(group.window_chunks)) : chunks_);
    }
    return total;
  }

  [[nodiscard]] wire::Bytes descriptor(std::size_t index) const {
    const TensorDesc& tensor = registration_.tensors[index];
    const auto& segment = *segments_[std::min(index, segments_.size() - 1)];
    test::Pack out;
    out.map(5).string("type").string("cpu_shm").string("shm_name").string(segment.name());
    out.string("nbytes").integer(static_cast<std::int64_t>(segment.size()));
    out.string("version").integer(1).string("metadata").map(5).string("dtype").string(tensor.dtype);
    out.string("shape").integers(tensor.shape).string("stride").integers(tensor.stride);
    out.string("storage_offset").integer(tensor.storage_offset);
    out.string("device_uuid").string("cpu");
    return out;
  }

  std::string model_;
  std::uint32_t chunks_;
  std::int64_t blocks_ = 0;
  std::map<std::int64_t, std::vector<std::int64_t>> ids_;  // by engine group
  test::Registration registration_;
  Geometry geometry_;
  std::vector<std::unique_ptr<test::SharedMemory>> segments_;
};

}  // namespace lmcache::bench
