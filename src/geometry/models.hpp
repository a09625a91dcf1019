// Registrations as engines send them, made up: what load generators and tests register. A tensor's
// segment_bytes is the memory it needs; whoever registers it makes that memory.
#pragma once

#include <lmcache/geometry.hpp>
#include <lmcache/status.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::geometry {

using Sizes = std::vector<std::int64_t>;

/// Strides in elements of a tensor without gaps.
[[nodiscard]] Sizes tight_strides(const Sizes& shape);
/// Bytes up to and including the last element.
[[nodiscard]] std::uint64_t span_bytes(const TensorDesc& tensor);
/// A view whose segment ends with its last element. `offset` in elements.
[[nodiscard]] TensorDesc strided(std::string dtype, Sizes shape, Sizes stride,
                                 std::int64_t offset = 0);
[[nodiscard]] TensorDesc dense(std::string dtype, Sizes shape);
/// `window` in tokens; -1: none.
[[nodiscard]] GroupInfo group_info(std::int64_t engine_group, Sizes layers,
                                   std::int64_t tokens_per_block, std::int64_t window = -1);
[[nodiscard]] LayoutHints kv_layout(std::string name);

struct Registration {
  std::vector<TensorDesc> tensors;
  std::vector<GroupInfo> infos;
  LayoutHints hints;
  bool one_segment = false;  ///< all tensors are views of one segment; else each has its own
};

/// bf16, 32 layers, 8 heads of 128, blocks of 16 tokens: 128 KiB a token.
[[nodiscard]] Registration dense_bf16(std::int64_t blocks);
/// DeepSeek-V4-Flash as vLLM registers it: all views of one pool whose blocks are 1,002,240 bytes
/// apart, each [blocks, 1, rows, width].
[[nodiscard]] Registration deepseek_v4(std::int64_t blocks);

using MakeRegistration = Registration (*)(std::int64_t blocks);
/// "dense" or "deepseek-v4-flash"; kMalformed with these names.
[[nodiscard]] Result<MakeRegistration> model_registration(std::string_view name);

}  // namespace lmcache::geometry
