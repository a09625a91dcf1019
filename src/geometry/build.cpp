#include "geometry/checked.hpp"
#include "geometry/detect.hpp"
#include "geometry/fingerprint.hpp"
#include "geometry/layout.hpp"
#include "geometry/limits.hpp"
#include "geometry/object_groups.hpp"
#include "geometry/text.hpp"

#include <lmcache/geometry.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <utility>

namespace lmcache {
namespace {

using geometry::bad_geometry;
using geometry::Checked;
using geometry::DetectedLayer;
using geometry::Layer;
using Layers = std::vector<std::optional<DetectedLayer>>;

/// Layers that one copy can move. The number of blocks is not part of it, the engine group (whose
/// ids it takes) is.
using Identity = std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint32_t,
                            std::int64_t, std::string, KvFormat>;

Identity identity_of(const DetectedLayer& detected) {
  const Layer& layer = detected.layer;
  return {layer.planes,          layer.heads, layer.head_size, layer.slots,
          detected.engine_group, layer.dtype, layer.format};
}

/// Layer indices of each kernel group, groups in order of their first layer.
std::vector<std::vector<std::uint32_t>> group_layers(const Layers& layers) {
  std::map<Identity, std::size_t> known;
  std::vector<std::vector<std::uint32_t>> groups;
  for (std::uint32_t i = 0; i < layers.size(); ++i) {
    if (!layers[i]) continue;
    const auto [place, fresh] = known.try_emplace(identity_of(layers[i].value()), groups.size());
    if (fresh) groups.emplace_back();
    groups[place->second].push_back(i);
  }
  return groups;
}

bool same_layers(const std::vector<std::uint32_t>& own, const std::vector<std::int64_t>& theirs) {
  return std::equal(own.begin(), own.end(), theirs.begin(), theirs.end(),
                    [](std::uint32_t a, std::int64_t b) { return std::int64_t{a} == b; });
}

/// "[0-3] [4]" for both sides, so that whoever reads the log sees which layers were split
/// differently.
Error mismatch(const std::vector<std::vector<std::uint32_t>>& own,
               std::span<const GroupInfo> infos) {
  constexpr std::size_t kShown = 16;
  std::string text = "the tensors form " + std::to_string(own.size()) + " groups of layers";
  for (std::size_t i = 0; i < std::min(own.size(), kShown); ++i) {
    const std::vector<std::int64_t> layers(own[i].begin(), own[i].end());
    text += " [" + geometry::fold(layers) + ']';
  }
  if (own.size() > kShown) text += " ...";
  text += ", the client's infos say " + std::to_string(infos.size());
  for (std::size_t i = 0; i < std::min(infos.size(), kShown); ++i) {
    text += " [" + geometry::fold(infos[i].layer_indices) + ']';
  }
  if (infos.size() > kShown) text += " ...";
  return bad_geometry(std::move(text));
}

/// One kernel group from its layers; sizes of requests and objects come later.
Result<KernelGroup> gather(const Layers& layers, const std::vector<std::uint32_t>& members) {
  const DetectedLayer& first = layers[members.front()].value();
  KernelGroup group;
  group.format = first.layer.format;
  group.dtype = first.layer.dtype;
  group.item_bytes = first.layer.item_bytes;
  group.engine_group_id = first.engine_group;
  group.layer_indices = members;
  group.planes = first.layer.planes;
  group.layers = static_cast<std::uint32_t>(members.size());
  group.heads = first.layer.heads;
  group.head_size = first.layer.head_size;
  group.slots_per_block = first.layer.slots;
  group.row_bytes = group.heads * group.head_size * group.item_bytes;
  group.num_blocks = first.layer.num_blocks;
  group.block_stride_bytes = first.layer.block_stride_bytes;
  for (const std::uint32_t index : members) {
    const Layer& layer = layers[index].value().layer;
    if (layer.block_stride_bytes != group.block_stride_bytes) {
      return bad_geometry("layers " + std::to_string(members.front()) + " and " +
                          std::to_string(index) + " are one group but their blocks are " +
                          std::to_string(group.block_stride_bytes) + " and " +
                          std::to_string(layer.block_stride_bytes) + " bytes apart");
    }
    // A block id must be good for every layer.
    group.num_blocks = std::min(group.num_blocks, layer.num_blocks);
  }
  group.origins.reserve(std::size_t{group.planes} * group.layers);
  for (std::uint32_t plane = 0; plane < group.planes; ++plane) {
    for (const std::uint32_t index : members) {
      group.origins.push_back(layers[index].value().layer.origins.at(plane));
    }
  }
  group.parts = geometry::page_parts(group);
  return group;
}

/// Takes window and block size from the client's info and checks that chunks and windows are whole
/// blocks.
Status apply_info(KernelGroup& group, std::size_t number, const GroupInfo* info,
                  std::uint32_t chunk_tokens) {
  const auto fault = [&](const std::string& text) {
    return bad_geometry("group " + std::to_string(number) + ": " + text);
  };
  std::int64_t tokens = group.slots_per_block;
  if (info != nullptr) {
    if (info->tokens_per_block < 0) return fault("negative tokens_per_block");
    if (info->tokens_per_block > 0) tokens = info->tokens_per_block;
    // Clients take 0 for none as well; geometries that mean the same must have one fingerprint.
    group.window_tokens = info->sw_size_tokens == 0 ? -1 : info->sw_size_tokens;
    group.extra_object_group_tag = info->extra_object_group_tag;
    group.recurrent_state = info->recurrent_state;
  }
  if (tokens % group.slots_per_block != 0) {
    return fault("tokens_per_block " + std::to_string(tokens) + " is not a multiple of the " +
                 std::to_string(group.slots_per_block) + " rows of a block");
  }
  if (tokens > chunk_tokens || chunk_tokens % tokens != 0) {
    return fault("the chunk size " + std::to_string(chunk_tokens) +
                 " is not a multiple of tokens_per_block " + std::to_string(tokens));
  }
  const std::int64_t window = group.window_tokens;
  if (window < -1) {
    return fault("sliding window of " + std::to_string(window) + " tokens; -1 or 0 means none");
  }
  const bool sub_chunk = window > 0 && window < chunk_tokens;
  if (sub_chunk && window % tokens != 0) {
    return fault("the sliding window " + std::to_string(window) +
                 " is not a multiple of tokens_per_block " + std::to_string(tokens));
  }
  if (group.extra_object_group_tag < 0) return fault("negative extra_object_group_tag");
  group.tokens_per_block = static_cast<std::uint32_t>(tokens);
  group.ids_per_chunk = chunk_tokens / group.tokens_per_block;
  group.kept_ids = sub_chunk ? static_cast<std::uint32_t>(window / tokens) : group.ids_per_chunk;
  const Checked region = Checked(group.planes) * group.layers * group.kept_ids *
                         group.slots_per_block * group.row_bytes;
  if (!region.fits(geometry::kMaxObjectBytes)) return fault("a chunk's bytes are out of range");
  group.region_bytes = region.value();
  return {};
}

}  // namespace

Result<Geometry> build_geometry(std::span<const TensorDesc> tensors, EngineType engine,
                                const LayoutHints& hints, std::span<const GroupInfo> infos,
                                const GeometryOptions& options) {
  if (tensors.empty() || tensors.size() > kMaxTensors) {
    return bad_geometry(std::to_string(tensors.size()) + " tensors registered, allowed are 1 to " +
                        std::to_string(kMaxTensors));
  }
  if (infos.size() > geometry::kMaxKernelGroups) {
    return bad_geometry(std::to_string(infos.size()) + " group infos, at most " +
                        std::to_string(geometry::kMaxKernelGroups));
  }
  if (options.chunk_tokens == 0) return bad_geometry("the chunk size is 0");
  const auto layers = geometry::detect_layers(tensors, engine, hints, infos, options);
  if (!layers) return layers.error();

  const auto groups = group_layers(layers.value());
  const bool agreed =
      infos.empty() || std::equal(groups.begin(), groups.end(), infos.begin(), infos.end(),
                                  [](const auto& own, const GroupInfo& info) {
                                    return same_layers(own, info.layer_indices);
                                  });
  if (!agreed) return mismatch(groups, infos);
  if (groups.size() > geometry::kMaxKernelGroups) {
    return bad_geometry(std::to_string(groups.size()) + " kernel groups, at most " +
                        std::to_string(geometry::kMaxKernelGroups));
  }

  Geometry result;
  result.chunk_tokens = options.chunk_tokens;
  result.num_tensors = tensors.size();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Result<KernelGroup> group = gather(layers.value(), groups[i]);
    if (!group) return group.error();
    if (Status status =
            apply_info(group.value(), i, infos.empty() ? nullptr : &infos[i], options.chunk_tokens);
        !status) {
      return status.error();
    }
    if (Status status = geometry::check_pages(group.value(), tensors); !status)
      return status.error();
    result.kernel_groups.push_back(std::move(group).value());
  }
  if (Status status = geometry::lay_out_objects(result, options.separate_object_groups); !status) {
    return status.error();
  }
  result.fingerprint = geometry::fingerprint_of(result);
  return result;
}

}  // namespace lmcache
