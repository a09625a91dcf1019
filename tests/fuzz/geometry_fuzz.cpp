// Registrations: whatever tensors, groups and hints an engine sends, a geometry that is accepted
// keeps every page of every block inside its segment and every row inside its object.
#include <lmcache/geometry.hpp>

#include <array>
#include <string>

#include "fuzz/input.hpp"

namespace {

using namespace lmcache;
using fuzz::Input;
using fuzz::require;
__extension__ using Wide = unsigned __int128;

constexpr std::array kDtypes{"bfloat16",      "float16", "float32", "uint8",
                             "float8_e4m3fn", "int64",   "odd"};
constexpr std::array kLayouts{"NHD", "HND", "BLHNC", "BLNHC", "other"};
constexpr std::array kEngines{EngineType::kVllm, EngineType::kAtom, EngineType::kSglang,
                              EngineType::kTrtllm, EngineType::kMock};

TensorDesc read_tensor(Input& in) {
  TensorDesc tensor;
  tensor.dtype = kDtypes[in.below(kDtypes.size())];
  const unsigned rank = in.below(8);
  for (unsigned i = 0; i < rank; ++i) tensor.shape.push_back(in.integer());
  tensor.stride.assign(rank, 1);
  const bool dense = in.below(2) == 0;
  Wide elements = 1;
  for (unsigned i = rank; i-- > 0;) {
    // A dense tensor that overflows is as good an input as any: keep the low bits.
    tensor.stride[i] = dense ? static_cast<std::int64_t>(elements) : in.integer();
    elements *= static_cast<Wide>(tensor.shape[i]);
  }
  tensor.storage_offset = in.integer();
  const std::uint64_t room = in.number(2);
  tensor.segment_bytes = dense && room == 0
                             ? static_cast<std::uint64_t>(elements) * dtype_bytes(tensor.dtype)
                             : room << in.below(48);
  return tensor;
}

GroupInfo read_group(Input& in) {
  GroupInfo group;
  group.engine_group_id = in.integer();
  const unsigned first = in.below(16), count = in.below(16);
  for (unsigned i = 0; i < count; ++i) group.layer_indices.push_back(first + i);
  if (in.below(8) == 0) group.layer_indices.push_back(in.integer());
  group.tokens_per_block = in.integer();
  group.sw_size_tokens = in.below(2) == 0 ? -1 : in.integer();
  group.extra_object_group_tag = in.below(4) == 0 ? in.integer() : 0;
  group.recurrent_state = in.below(8) == 0;
  return group;
}

LayoutHints read_hints(Input& in) {
  LayoutHints hints;
  const unsigned which = in.byte();
  if (which & 1) hints.kv_layout = kLayouts[in.below(kLayouts.size())];
  if (which & 2) hints.num_kv_heads = in.integer();
  if (which & 4) hints.tokens_per_block = in.integer();
  if (which & 8) hints.kv_list_layout = in.below(2) == 0 ? "k_v" : "unified";
  if (which & 16) hints.head_dim = in.integer();
  return hints;
}

Wide part_end(const PagePart& part, std::uint64_t start, std::uint64_t step0, std::uint64_t step1) {
  return Wide{start} + Wide{part.n0 - 1} * step0 + Wide{part.n1 - 1} * step1 + part.run;
}

void check_group(const KernelGroup& group, std::span<const TensorDesc> tensors) {
  require(group.kept_ids >= 1 && group.kept_ids <= group.ids_per_chunk);
  require(group.origins.size() == std::size_t{group.planes} * group.layers);
  const Wide rows = Wide{group.slots_per_block} * group.row_bytes;
  Wide moved = 0;
  for (const PagePart& part : group.parts) {
    require(part.n0 > 0 && part.n1 > 0);
    require(part_end(part, part.object, part.object0, part.object1) <= rows);
    moved += Wide{part.n0} * part.n1 * part.run;
    for (const PlaneOrigin& origin : group.origins) {
      require(origin.tensor < tensors.size());
      if (group.num_blocks == 0) continue;
      // Offsets grow with the block: the last block's end is the farthest byte.
      const Wide last = Wide{group.num_blocks - 1} * group.block_stride_bytes;
      require(origin.offset + last + part_end(part, part.page, part.page0, part.page1) <=
              tensors[origin.tensor].segment_bytes);
    }
  }
  require(moved == rows);
  require(Wide{group.origins.size()} * group.kept_ids * rows == group.region_bytes);
}

void check(const Geometry& geometry, std::span<const TensorDesc> tensors) {
  require(!geometry.kernel_groups.empty() && !geometry.object_groups.empty());
  for (const KernelGroup& group : geometry.kernel_groups) {
    check_group(group, tensors);
    const ObjectGroup& object = geometry.object_groups.at(group.object_group);
    require(Wide{group.object_offset} + group.region_bytes <= object.bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  GeometryOptions options;
  options.chunk_tokens = 1u << in.below(12);
  options.separate_object_groups = in.below(2) == 0;
  options.cpu_tensors = in.below(2) == 0;
  const EngineType engine = kEngines[in.below(kEngines.size())];
  const LayoutHints hints = read_hints(in);
  std::vector<TensorDesc> tensors;
  for (unsigned n = in.below(9); n > 0; --n) {
    tensors.push_back(read_tensor(in));
    for (unsigned copies = in.below(4); copies > 0; --copies) tensors.push_back(tensors.back());
  }
  std::vector<GroupInfo> infos;
  for (unsigned n = in.below(6); n > 0; --n) infos.push_back(read_group(in));
  const auto geometry = build_geometry(tensors, engine, hints, infos, options);
  if (geometry) {
    check(*geometry, tensors);
  } else {
    require(geometry.error().cause == Cause::kBadGeometry && !geometry.error().text.empty());
  }
  return 0;
}
