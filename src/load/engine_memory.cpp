#include "load/engine_memory.hpp"

#include "load/pattern.hpp"
#include "wire/msgpack_writer.hpp"

#include <algorithm>
#include <random>
#include <stdexcept>

namespace lmcache::load {

using wire::MsgpackWriter;

EngineMemory::EngineMemory(geometry::MakeRegistration make, std::uint32_t chunk_tokens,
                           std::uint32_t chunks, MakeTensors make_tensors)
    : chunk_tokens_(chunk_tokens), chunks_(chunks) {
  number_blocks(geometry_of(make(2), chunk_tokens));
  registration_ = make(static_cast<std::int64_t>(blocks_.size()) + 1);
  geometry_ = geometry_of(registration_, chunk_tokens);
  for (const GroupInfo& info : registration_.infos)
    for (const std::int64_t layer : info.layer_indices)
      tensors_of_[info.engine_group_id].push_back(static_cast<std::size_t>(layer));
  place_pages();
  std::vector<std::uint64_t> segments;
  for (const TensorDesc& tensor : registration_.tensors)
    if (segments.empty() || !registration_.one_segment) segments.push_back(tensor.segment_bytes);
  memory_ = make_tensors(segments);
}

Geometry EngineMemory::geometry_of(const geometry::Registration& from, std::uint32_t chunk_tokens) {
  GeometryOptions options;
  options.chunk_tokens = chunk_tokens;
  auto built = build_geometry(from.tensors, EngineType::kVllm, from.hints, from.infos, options);
  if (!built)
    throw std::runtime_error("this model does not go with the server's chunks of " +
                             std::to_string(chunk_tokens) + " tokens: " + built.error().text);
  return std::move(*built);
}

// One id space for all groups; id 0 is the null block. Groups of one engine group share its list.
void EngineMemory::number_blocks(const Geometry& geometry) {
  for (const KernelGroup& group : geometry.kernel_groups) {
    auto& list = ids_[group.engine_group_id];
    if (!list.empty()) continue;
    list.resize(std::size_t{chunks_} * group.ids_per_chunk, 0);
    const std::int32_t window = geometry.object_groups[group.object_group].window_chunks;
    const std::size_t first = window < 0 || static_cast<std::uint32_t>(window) >= chunks_
                                  ? 0
                                  : chunks_ - static_cast<std::uint32_t>(window);
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (i % group.ids_per_chunk < group.ids_per_chunk - group.kept_ids) continue;
      list[i] = static_cast<std::int64_t>(blocks_.size()) + 1;
      blocks_.push_back({group.engine_group_id, list[i], i / group.ids_per_chunk >= first});
    }
  }
  std::vector<std::int64_t> shuffled(blocks_.size() + 1);
  for (std::size_t i = 0; i < shuffled.size(); ++i) shuffled[i] = static_cast<std::int64_t>(i);
  std::shuffle(shuffled.begin() + 1, shuffled.end(), std::mt19937(7));
  const auto shuffle = [&](std::int64_t& id) { id = shuffled[static_cast<std::size_t>(id)]; };
  for (auto& [group, list] : ids_) std::ranges::for_each(list, shuffle);
  for (Block& block : blocks_) shuffle(block.id);
}

std::uint64_t EngineMemory::object_bytes(bool windowed) const {
  std::uint64_t total = 0;
  for (const ObjectGroup& group : geometry_.object_groups) {
    const bool cut = windowed && group.window_chunks > 0;
    total += group.bytes *
             (cut ? std::min(chunks_, static_cast<std::uint32_t>(group.window_chunks)) : chunks_);
  }
  return total;
}

std::uint64_t EngineMemory::retrieved_blocks() const {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(blocks_, [](const Block& block) { return block.retrieved; }));
}

Frames EngineMemory::registration(std::int64_t instance, const std::string& model) const {
  MsgpackWriter tensors, groups, hints;
  tensors.array(static_cast<std::uint32_t>(registration_.tensors.size()));
  for (std::size_t i = 0; i < registration_.tensors.size(); ++i)
    tensors.ext(1, memory_->descriptor(segment_of(i), registration_.tensors[i]));
  groups.array(static_cast<std::uint32_t>(registration_.infos.size()));
  for (const GroupInfo& info : registration_.infos) {
    groups.map(4).string("engine_group_id").integer(info.engine_group_id);
    groups.string("layer_indices").integers(info.layer_indices);
    groups.string("tokens_per_block").integer(info.tokens_per_block);
    groups.string("sw_size_tokens").integer(info.sw_size_tokens);
  }
  hints.map(1).string("kv_layout").string(registration_.hints.kv_layout.value());
  return {encode_integer(instance), tensors.bytes(), encode_string(model), encode_integer(1),
          encode_string("vllm"),    hints.bytes(),   groups.bytes()};
}

wire::Bytes EngineMemory::block_ids() const {
  MsgpackWriter out;
  out.array(static_cast<std::uint32_t>(geometry_.kernel_groups.size()));
  for (const KernelGroup& group : geometry_.kernel_groups)
    out.integers(ids_.at(group.engine_group_id));
  return out.bytes();
}

std::size_t EngineMemory::segment_of(std::size_t tensor) const {
  return registration_.one_segment ? 0 : tensor;
}

// A block's page of one tensor: the first axis counts blocks, the rest has no gaps.
Page EngineMemory::page(std::size_t index, std::int64_t block) const {
  const TensorDesc& tensor = registration_.tensors[index];
  const std::uint64_t item = dtype_bytes(tensor.dtype);
  std::uint64_t bytes = item;
  for (std::size_t axis = 1; axis < tensor.shape.size(); ++axis)
    bytes *= static_cast<std::uint64_t>(tensor.shape[axis]);
  const auto first = static_cast<std::uint64_t>(tensor.storage_offset + block * tensor.stride[0]);
  return {segment_of(index), first * item, bytes};
}

void EngineMemory::place_pages() {
  std::stable_partition(blocks_.begin(), blocks_.end(),
                        [](const Block& block) { return block.retrieved; });
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    for (const std::size_t tensor : tensors_of_.at(block.engine_group)) {
      pages_.push_back(page(tensor, block.id));
      origins_.push_back({i, seed_of(tensor, static_cast<std::uint64_t>(block.id))});
    }
    if (block.retrieved) retrieved_pages_ = pages_.size();
  }
}

void EngineMemory::fill(std::uint64_t seed) {
  memory_->write(pages_, [&](std::size_t page, std::span<std::byte> bytes) {
    write_pattern(bytes, seed_of(seed, origins_[page].place));
  });
}

void EngineMemory::wipe() {
  memory_->wipe();
}

std::uint64_t EngineMemory::bad_blocks(std::uint64_t seed) const {
  std::vector<bool> bad(blocks_.size());
  memory_->read(std::span(pages_).first(retrieved_pages_),
                [&](std::size_t page, std::span<const std::byte> bytes) {
                  const Origin& origin = origins_[page];
                  if (!bad[origin.block] && !has_pattern(bytes, seed_of(seed, origin.place)))
                    bad[origin.block] = true;
                });
  return static_cast<std::uint64_t>(std::ranges::count(bad, true));
}

}  // namespace lmcache::load
