// Registrations for tests: tensors of usual layouts, and DeepSeek-V4-Flash's packed pool.
#pragma once

#include <lmcache/geometry.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lmcache::test {

using Sizes = std::vector<std::int64_t>;

inline Sizes tight_strides(const Sizes& shape) {
  Sizes stride(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) stride[i - 1] = stride[i] * shape[i];
  return stride;
}

/// Bytes up to and including the last element.
inline std::uint64_t span_bytes(const TensorDesc& tensor) {
  std::int64_t last = tensor.storage_offset;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    last += (tensor.shape[i] - 1) * tensor.stride[i];
  }
  return static_cast<std::uint64_t>(last + 1) * dtype_bytes(tensor.dtype);
}

/// A view whose segment ends with its last element.
inline TensorDesc strided(std::string dtype, Sizes shape, Sizes stride, std::int64_t offset = 0) {
  TensorDesc tensor{std::move(dtype), std::move(shape), std::move(stride), offset, 0};
  tensor.segment_bytes = span_bytes(tensor);
  return tensor;
}

inline TensorDesc dense(std::string dtype, Sizes shape) {
  Sizes stride = tight_strides(shape);
  return strided(std::move(dtype), std::move(shape), std::move(stride));
}

inline GroupInfo group_info(std::int64_t engine_group, Sizes layers, std::int64_t tokens_per_block,
                            std::int64_t window = -1) {
  GroupInfo info;
  info.engine_group_id = engine_group;
  info.layer_indices = std::move(layers);
  info.tokens_per_block = tokens_per_block;
  info.sw_size_tokens = window;
  return info;
}

inline LayoutHints kv_layout(std::string name) {
  LayoutHints hints;
  hints.kv_layout = std::move(name);
  return hints;
}

struct Registration {
  std::vector<TensorDesc> tensors;
  std::vector<GroupInfo> infos;
  LayoutHints hints;
};

/// DeepSeek-V4-Flash as vLLM registers it: all views of one pool whose blocks are 1,002,240 bytes
/// apart, each [blocks, 1, rows, width]. Every tensor's segment is the whole pool.
inline Registration deepseek_v4(std::int64_t blocks) {
  constexpr std::int64_t kBlock = 1002240;
  Registration made;
  made.hints = kv_layout("BLHNC");
  made.infos = {group_info(0, {}, 64, 128), group_info(1, {}, 64, 128), group_info(2, {}, 256),
                group_info(3, {}, 4, 8),    group_info(2, {}, 256),     group_info(3, {}, 4, 8),
                group_info(2, {}, 256),     group_info(4, {}, 8, 128)};
  std::array<std::int64_t, 5>
      used{};  // bytes of a block that earlier layers of the engine group take
  const auto add = [&](std::size_t group, std::int64_t rows, std::int64_t width, bool floats,
                       std::int64_t page) {
    GroupInfo& info = made.infos[group];
    info.layer_indices.push_back(static_cast<std::int64_t>(made.tensors.size()));
    const std::int64_t item = floats ? 4 : 1;
    std::int64_t& offset = used.at(static_cast<std::size_t>(info.engine_group_id));
    TensorDesc tensor = strided(floats ? "float32" : "uint8", {blocks, 1, rows, width},
                                {kBlock / item, rows * width, width, 1}, offset / item);
    tensor.segment_bytes = static_cast<std::uint64_t>(blocks * kBlock);
    made.tensors.push_back(tensor);
    offset += page;
  };
  for (int layer = 0; layer < 43; ++layer) {
    add(layer % 2 == 0 ? 0 : 1, 64, 584, false, 37440);
    if (layer < 2) continue;
    if (layer % 2 == 0) {
      add(2, 64, 132, false, 8640);
      add(3, 4, 512, true, 8640);
      add(4, 64, 584, false, 37440);
      add(5, 4, 2048, true, 32832);
    } else {
      add(6, 2, 584, false, 1728);
      add(7, 8, 1024, true, 32832);
    }
  }
  return made;
}

}  // namespace lmcache::test
