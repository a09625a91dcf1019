#include "admin/layout_report.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace lmcache::admin {
namespace {

constexpr std::array<FormatText, 14> kFormats{{
    {KvFormat::kNbNlTwoBsNhHs, "NB_NL_TWO_BS_NH_HS", "[NB, NL, 2, BS, NH, HS]", "vLLM CROSS_LAYER",
     false},
    {KvFormat::kNlXTwoNbBsNhHs, "NL_X_TWO_NB_BS_NH_HS", "NL x [2, NB, BS, NH, HS]",
     "vLLM non-MLA flash attention", false},
    {KvFormat::kNlXNbTwoBsNhHs, "NL_X_NB_TWO_BS_NH_HS", "NL x [NB, 2, BS, NH, HS]",
     "vLLM non-MLA flash infer", false},
    {KvFormat::kNlXNbBsHs, "NL_X_NB_BS_HS", "NL x [NB, BS, HS]", "vLLM MLA / SGLang MLA (MP)",
     true},
    {KvFormat::kTwoXNlXNbbsNhHs, "TWO_X_NL_X_NBBS_NH_HS", "2 x NL x [PBS, NH, HS]",
     "SGLang MHA (flash attention and flash infer)", false},
    {KvFormat::kNlXNbbsOneHs, "NL_X_NBBS_ONE_HS", "NL x [PBS, 1, HS]", "SGLang MLA", true},
    {KvFormat::kNlXTwoNbNhBsHs, "NL_X_TWO_NB_NH_BS_HS", "NL x [2, NB, NH, BS, HS]",
     "vLLM non-MLA flash attention (HND layout)", false},
    {KvFormat::kNlXNbTwoNhBsHs, "NL_X_NB_TWO_NH_BS_HS", "NL x [NB, 2, NH, BS, HS]",
     "vLLM non-MLA flash infer (HND layout)", false},
    {KvFormat::kNbNlTwoNhBsHs, "NB_NL_TWO_NH_BS_HS", "[NB, NL, 2, NH, BS, HS]",
     "TRT-LLM cross-layer (HND layout)", false},
    {KvFormat::kTwoXNlXNbBsNhHs, "TWO_X_NL_X_NB_BS_NH_HS", "2 x NL x [NB, BS, NH, HS]",
     "SGLang MHA via MP daemon (4-D inner)", false},
    {KvFormat::kNlXNbNhBsCs, "NL_X_NB_NH_BS_CS", "NL x [NB, NH, BS, CS]",
     "vLLM non-MLA blocks-first, fused K/V (HND)", false},
    {KvFormat::kNlXNbBsNhCs, "NL_X_NB_BS_NH_CS", "NL x [NB, BS, NH, CS]",
     "vLLM non-MLA blocks-first, fused K/V (NHD)", false},
    {KvFormat::kNlXNbBsvBss, "NL_X_NB_BSV_BSS", "NL x [NB, BSxVALS, BSxSCALES]", "vLLM MLA", true},
    {KvFormat::kNlXNbBsNhHs, "NL_X_NB_BS_NH_HS", "NL x [NB, BS, NH, HS]",
     "SGLang unified MP independent components", false},
}};

constexpr std::uint64_t kIndexerScaleBytes = 4;  // of a row in format 14; the rest are values

std::uint64_t size_of(const KernelGroup& group, std::string_view axis) {
  if (axis == "NB") return group.num_blocks;
  if (axis == "NL") return group.layers;
  if (axis == "BS") return group.slots_per_block;
  if (axis == "PBS") return group.num_blocks * group.slots_per_block;
  if (axis == "NH") return group.heads;
  if (axis == "SCALES") return kIndexerScaleBytes;
  if (axis == "VALS") return group.head_size - kIndexerScaleBytes;
  return group.head_size;  // HS, CS
}

Json group_report(const KernelGroup& group, std::size_t index) {
  const FormatText& format = text_of(group.format);
  return {{"kernel_group_idx", index},
          {"engine_group_idx", group.engine_group_id},
          {"object_group_idx", group.object_group},
          {"num_layers", group.layers},
          {"layer_indices", group.layer_indices},
          {"tokens_per_block", group.tokens_per_block},
          {"slots_per_block", group.slots_per_block},
          {"dtype", "torch." + group.dtype},
          {"engine_kv_concrete_shape", concrete_shape(group)},
          {"is_mla", format.is_mla},
          {"engine_kv_format", format.name},
          {"engine_kv_shape", format.shape},
          {"attention_backend", format.backend},
          {"window_tokens", group.window_tokens},
          {"row_bytes", group.row_bytes}};
}

}  // namespace

const FormatText& text_of(KvFormat format) noexcept {
  return *std::ranges::find(kFormats, format, &FormatText::format);
}

std::string concrete_shape(const KernelGroup& group) {
  std::string out, axis;
  const auto end_axis = [&] {
    if (!axis.empty()) out += std::to_string(size_of(group, axis));
    axis.clear();
  };
  for (const char c : text_of(group.format).shape) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0) {
      axis += c;
      continue;
    }
    end_axis();
    out += c;
  }
  end_axis();
  return out;
}

Json layout_report(const Geometry& geometry) {
  std::uint64_t layers = 0, token_bytes = 0;
  Json groups = Json::array();
  for (const KernelGroup& group : geometry.kernel_groups) {
    layers += group.layers;
    const std::uint64_t tokens_per_slot = group.tokens_per_block / group.slots_per_block;
    token_bytes += std::uint64_t{group.planes} * group.layers * group.row_bytes / tokens_per_slot;
    groups.push_back(group_report(group, groups.size()));
  }
  return {{"num_layers", layers},
          {"num_blocks", geometry.kernel_groups.empty() ? 0 : geometry.kernel_groups[0].num_blocks},
          {"cache_size_per_token", token_bytes},
          {"kernel_groups", std::move(groups)}};
}

}  // namespace lmcache::admin
