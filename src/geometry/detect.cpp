#include "geometry/detect.hpp"

#include "geometry/limits.hpp"
#include "geometry/text.hpp"

#include <map>
#include <string>
#include <utility>

namespace lmcache::geometry {
namespace {

using Layers = std::vector<std::optional<DetectedLayer>>;
constexpr std::int64_t kNoGroup = -1;
constexpr std::uint64_t kIndexerWidth = 132;

struct Context {
  std::span<const TensorDesc> tensors;
  EngineType engine;
  const LayoutHints& hints;
  std::span<const GroupInfo> infos;
  bool head_major =
      false;  ///< vLLM's two middle axes are heads, rows (HND) rather than rows, heads (NHD)
};

/// Engine group of each of `count` layers; without infos they all are of group 0.
Result<std::vector<std::int64_t>> engine_groups(const Context& context, std::size_t count) {
  std::vector<std::int64_t> groups(count, context.infos.empty() ? 0 : kNoGroup);
  for (const GroupInfo& info : context.infos) {
    if (info.engine_group_id < 0 || info.engine_group_id >= kMaxEngineGroups) {
      return bad_geometry("engine group id " + std::to_string(info.engine_group_id) +
                          " is outside 0.." + std::to_string(kMaxEngineGroups - 1));
    }
    for (const std::int64_t index : info.layer_indices) {
      if (index < 0 || static_cast<std::uint64_t>(index) >= count) {
        return bad_geometry("a group info names layer " + std::to_string(index) + " of " +
                            std::to_string(count));
      }
      std::int64_t& group = groups[static_cast<std::size_t>(index)];
      if (group != kNoGroup) {
        return bad_geometry("layer " + std::to_string(index) + " is in two group infos");
      }
      group = info.engine_group_id;
    }
  }
  return groups;
}

/// Rows of one block for pools whose shape does not say: the hint, else what the infos report for
/// the engine group.
std::int64_t rows_per_block(const Context& context, std::int64_t engine_group) {
  if (context.hints.tokens_per_block) return *context.hints.tokens_per_block;
  for (const GroupInfo& info : context.infos) {
    if (info.engine_group_id == engine_group) return info.tokens_per_block;
  }
  return 0;
}

Result<bool> vllm_head_major(const LayoutHints& hints, bool cpu_tensors) {
  if (!hints.kv_layout) return cpu_tensors;  // the client's own assumption when it sends no hint
  const std::string& layout = *hints.kv_layout;
  if (layout == "HND" || layout == "BLHNC") return true;
  if (layout == "NHD" || layout == "BLNHC") return false;
  return bad_geometry("kv_layout hint '" + in_quotes(layout) +
                      "' is none of NHD, HND, BLHNC, BLNHC");
}

std::optional<KvFormat> vllm_format(const View& view, const std::string& dtype, bool head_major) {
  const bool indexer = dtype == "uint8" && view.shape.back() == kIndexerWidth;
  switch (view.shape.size()) {
    case 3:
      return indexer ? KvFormat::kNlXNbBsvBss : KvFormat::kNlXNbBsHs;
    case 4:
      if (indexer && view.shape[head_major ? 1 : 2] == 1) return KvFormat::kNlXNbBsvBss;
      return head_major ? KvFormat::kNlXNbNhBsCs : KvFormat::kNlXNbBsNhCs;
    case 5:
      // Two blocks in a [NB, 2, ...] pool look like K/V first; the client reads them so, and so
      // must we.
      if (view.shape[0] == 2) {
        return head_major ? KvFormat::kNlXTwoNbNhBsHs : KvFormat::kNlXTwoNbBsNhHs;
      }
      if (view.shape[1] == 2) {
        return head_major ? KvFormat::kNlXNbTwoNhBsHs : KvFormat::kNlXNbTwoBsNhHs;
      }
      return std::nullopt;
    default:
      return std::nullopt;
  }
}

std::optional<KvFormat> sglang_format(const View& view, const LayoutHints& hints) {
  const bool unified = hints.kv_list_layout && *hints.kv_list_layout == "unified";
  if (view.shape.size() == 4) {
    return unified ? std::optional(KvFormat::kNlXNbBsNhHs) : std::nullopt;
  }
  if (view.shape.size() != 3) return std::nullopt;
  if (unified || hints.tokens_per_block) return KvFormat::kNlXNbBsHs;
  return view.shape[1] == 1 ? std::optional(KvFormat::kNlXNbbsOneHs) : std::nullopt;
}

std::optional<KvFormat> format_of(const Context& context, const TensorDesc& desc,
                                  const View& view) {
  switch (context.engine) {
    case EngineType::kVllm:
      return vllm_format(view, desc.dtype, context.head_major);
    case EngineType::kSglang:
      return sglang_format(view, context.hints);
    case EngineType::kAtom:
      return view.shape.size() == 3 ? std::optional(KvFormat::kNlXNbBsHs) : std::nullopt;
    case EngineType::kTrtllm:
    case EngineType::kMock:
      return std::nullopt;
  }
  return std::nullopt;
}

/// SGLang's MLA pools name tokens, not blocks: [NB*BS, 1, HS].
bool is_token_pool(const Context& context, KvFormat format, const View& view) {
  if (format == KvFormat::kNlXNbbsOneHs) return true;
  const bool unified = context.hints.kv_list_layout && *context.hints.kv_list_layout == "unified";
  return context.engine == EngineType::kSglang && !unified && format == KvFormat::kNlXNbBsHs &&
         view.shape[1] == 1;
}

Result<Layer> make_layer(const Context& context, KvFormat format, std::size_t index, View view,
                         std::int64_t engine_group) {
  const TensorDesc& desc = context.tensors[index];
  if (view.shape.size() == 3 && is_token_pool(context, format, view)) {
    Result<View> split = split_blocks(index, desc, view, rows_per_block(context, engine_group));
    if (!split) return split.error();
    view = std::move(split).value();
    view.shape.erase(view.shape.begin() + 2);  // the head axis of one
  }
  return per_layer(format, index, desc, std::move(view));
}

/// The usual case: one tensor per layer. As in the client, the first tensor of a (group, shape,
/// dtype) decides for all of it.
Result<Layers> one_tensor_per_layer(const Context& context) {
  const std::size_t count = context.tensors.size();
  const auto groups = engine_groups(context, count);
  if (!groups) return groups.error();
  using Structure = std::pair<std::int64_t, std::pair<std::vector<std::int64_t>, std::string>>;
  std::map<Structure, KvFormat> formats;
  Layers layers(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t group = groups.value()[i];
    if (group == kNoGroup) continue;
    const TensorDesc& desc = context.tensors[i];
    Result<View> view = recover_view(i, desc);
    if (!view) return view.error();
    auto known = formats.find({group, {desc.shape, desc.dtype}});
    if (known == formats.end()) {
      const auto format = format_of(context, desc, view.value());
      if (!format) {
        return bad_geometry(describe(i, desc) + ": no layout of engine " +
                            std::string(to_string(context.engine)) + " looks like this");
      }
      known = formats.emplace(Structure{group, {desc.shape, desc.dtype}}, *format).first;
    }
    Result<Layer> layer = make_layer(context, known->second, i, std::move(view).value(), group);
    if (!layer) return layer.error();
    layers[i] = DetectedLayer{group, std::move(layer).value()};
  }
  return layers;
}

/// Gives layers found as a whole (formats 0, 4, 8, 9) their engine groups.
Result<Layers> with_groups(const Context& context, std::vector<Layer> found) {
  const auto groups = engine_groups(context, found.size());
  if (!groups) return groups.error();
  Layers layers(found.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (groups.value()[i] != kNoGroup)
      layers[i] = DetectedLayer{groups.value()[i], std::move(found[i])};
  }
  return layers;
}

/// vLLM's cross-layer tensor [NB, NL, 2, BS, NH, HS]; head-major only where a hint says so.
Result<Layers> vllm_cross_layer(const Context& context) {
  const TensorDesc& desc = context.tensors[0];
  const Result<View> view = recover_view(0, desc);
  if (!view) return view.error();
  if (view.value().shape.size() != 6 ||
      (view.value().shape[0] == 2 && view.value().shape[3] == 1)) {
    return bad_geometry(describe(0, desc) +
                        ": [2, blocks, heads, 1, rows, size] (format 15) is not served");
  }
  const bool head_major = context.hints.kv_layout && context.head_major;
  auto found = cross_layer(head_major ? KvFormat::kNbNlTwoNhBsHs : KvFormat::kNbNlTwoBsNhHs, desc,
                           view.value());
  if (!found) return found.error();
  return with_groups(context, std::move(found).value());
}

/// TRT-LLM's pool: one tensor [NB, NL, 2, NH*BS*HS] whose last axis the hints split.
Result<Layers> trtllm_pool(const Context& context) {
  if (context.tensors.size() != 1) {
    return bad_geometry("trtllm registers one pool tensor, found " +
                        std::to_string(context.tensors.size()));
  }
  const TensorDesc& desc = context.tensors[0];
  Result<View> view = recover_view(0, desc);
  if (!view) return view.error();
  if (view.value().shape.size() == 4) {
    const std::int64_t sizes[] = {context.hints.num_kv_heads.value_or(0),
                                  context.hints.tokens_per_block.value_or(0),
                                  context.hints.head_dim.value_or(0)};
    std::uint64_t rest = view.value().shape[3];
    for (const std::int64_t size : sizes) {
      const auto factor = static_cast<std::uint64_t>(size);
      if (size <= 0 || rest % factor != 0)
        rest = 0;
      else
        rest /= factor;
    }
    if (rest != 1) {
      return bad_geometry(describe(0, desc) + ": the last axis is not the hints' num_kv_heads " +
                          std::to_string(sizes[0]) + " * tokens_per_block " +
                          std::to_string(sizes[1]) + " * head_dim " + std::to_string(sizes[2]));
    }
    view.value().shape.pop_back();
    for (const std::int64_t size : sizes)
      view.value().shape.push_back(static_cast<std::uint64_t>(size));
  }
  auto found = cross_layer(KvFormat::kNbNlTwoNhBsHs, desc, view.value());
  if (!found) return found.error();
  return with_groups(context, std::move(found).value());
}

/// SGLang's two lists, sent as one: all K tensors, then all V tensors.
Result<Layers> sglang_pairs(const Context& context) {
  if (context.tensors.size() % 2 != 0) {
    return bad_geometry("kv_list_layout k_v needs as many K as V tensors, found " +
                        std::to_string(context.tensors.size()) + " in all");
  }
  const std::size_t count = context.tensors.size() / 2;
  const auto groups = engine_groups(context, count);
  if (!groups) return groups.error();
  std::vector<Layer> found;
  for (std::size_t i = 0; i < count; ++i) {
    const std::array<std::size_t, 2> pair = {i, i + count};
    std::array<View, 2> views;
    KvFormat format = KvFormat::kTwoXNlXNbBsNhHs;
    for (std::size_t plane = 0; plane < 2; ++plane) {
      const TensorDesc& desc = context.tensors[pair[plane]];
      Result<View> view = recover_view(pair[plane], desc);
      if (view && view.value().shape.size() == 3) {
        if (!context.hints.tokens_per_block) format = KvFormat::kTwoXNlXNbbsNhHs;
        view = split_blocks(pair[plane], desc, std::move(view).value(),
                            rows_per_block(context, groups.value()[i]));
      }
      if (!view) return view.error();
      views[plane] = std::move(view).value();
    }
    const TensorDesc& k_desc = context.tensors[pair[0]];
    const TensorDesc& v_desc = context.tensors[pair[1]];
    if (views[0].shape != views[1].shape || k_desc.dtype != v_desc.dtype || views[1].padded()) {
      return bad_geometry("K " + describe(pair[0], k_desc) + " and V " + describe(pair[1], v_desc) +
                          " differ");
    }
    Result<Layer> layer = plane_pair(format, pair, k_desc, views);
    if (!layer) return layer.error();
    found.push_back(std::move(layer).value());
  }
  return with_groups(context, std::move(found));
}

}  // namespace

Result<Layers> detect_layers(std::span<const TensorDesc> tensors, EngineType engine,
                             const LayoutHints& hints, std::span<const GroupInfo> infos,
                             const GeometryOptions& options) {
  Context context{tensors, engine, hints, infos};
  switch (engine) {
    case EngineType::kVllm: {
      const Result<bool> head_major = vllm_head_major(hints, options.cpu_tensors);
      if (!head_major) return head_major.error();
      context.head_major = head_major.value();
      if (tensors.size() == 1 && tensors[0].shape.size() == 6) return vllm_cross_layer(context);
      return one_tensor_per_layer(context);
    }
    case EngineType::kSglang:
      if (hints.kv_list_layout && *hints.kv_list_layout == "k_v") return sglang_pairs(context);
      return one_tensor_per_layer(context);
    case EngineType::kTrtllm:
      return trtllm_pool(context);
    case EngineType::kAtom:
      return one_tensor_per_layer(context);
    case EngineType::kMock:
      break;
  }
  return bad_geometry("engine " + std::string(to_string(engine)) + " has no known tensor layouts");
}

}  // namespace lmcache::geometry
