#include "geometry/models.hpp"

#include <array>
#include <utility>

namespace lmcache::geometry {

Sizes tight_strides(const Sizes& shape) {
  Sizes stride(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) stride[i - 1] = stride[i] * shape[i];
  return stride;
}

std::uint64_t span_bytes(const TensorDesc& tensor) {
  std::int64_t last = tensor.storage_offset;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    last += (tensor.shape[i] - 1) * tensor.stride[i];
  }
  return static_cast<std::uint64_t>(last + 1) * dtype_bytes(tensor.dtype);
}

TensorDesc strided(std::string dtype, Sizes shape, Sizes stride, std::int64_t offset) {
  TensorDesc tensor{std::move(dtype), std::move(shape), std::move(stride), offset, 0};
  tensor.segment_bytes = span_bytes(tensor);
  return tensor;
}

TensorDesc dense(std::string dtype, Sizes shape) {
  Sizes stride = tight_strides(shape);
  return strided(std::move(dtype), std::move(shape), std::move(stride));
}

GroupInfo group_info(std::int64_t engine_group, Sizes layers, std::int64_t tokens_per_block,
                     std::int64_t window) {
  GroupInfo info;
  info.engine_group_id = engine_group;
  info.layer_indices = std::move(layers);
  info.tokens_per_block = tokens_per_block;
  info.sw_size_tokens = window;
  return info;
}

LayoutHints kv_layout(std::string name) {
  LayoutHints hints;
  hints.kv_layout = std::move(name);
  return hints;
}

Registration dense_bf16(std::int64_t blocks) {
  constexpr std::int64_t kLayers = 32;
  Registration made;
  made.hints = kv_layout("NHD");
  made.infos = {group_info(0, {}, 16)};
  for (std::int64_t layer = 0; layer < kLayers; ++layer) {
    made.tensors.push_back(dense("bfloat16", {blocks, 2, 16, 8, 128}));
    made.infos[0].layer_indices.push_back(layer);
  }
  return made;
}

Registration deepseek_v4(std::int64_t blocks) {
  constexpr std::int64_t kBlock = 1002240;
  Registration made;
  made.one_segment = true;
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

Result<MakeRegistration> model_registration(std::string_view name) {
  if (name == "dense") return &dense_bf16;
  if (name == "deepseek-v4-flash") return &deepseek_v4;
  return Error{Cause::kMalformed, "no model is called '" + std::string(name) +
                                      "'; there are dense and deepseek-v4-flash"};
}

}  // namespace lmcache::geometry
