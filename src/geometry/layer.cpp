#include "geometry/layer.hpp"

#include "geometry/limits.hpp"
#include "geometry/text.hpp"

#include <optional>
#include <utility>

namespace lmcache::geometry {
namespace {

constexpr std::uint64_t kIndexerRowBytes = 132;  // 128 values, then one 4-byte scale

/// Which axis of a view means what; kNone where the format has no such axis.
struct Axes {
  static constexpr std::size_t kNone = kMaxRank;
  std::size_t rank;
  std::size_t blocks;
  std::size_t slots;
  std::size_t heads;
  std::size_t planes;
  bool padding;  ///< the block axis is the outermost, so blocks may be padded
};

std::optional<Axes> axes_of(KvFormat format) {
  constexpr std::size_t kNone = Axes::kNone;
  switch (format) {
    case KvFormat::kNlXTwoNbBsNhHs:
      return Axes{5, 1, 2, 3, 0, false};
    case KvFormat::kNlXTwoNbNhBsHs:
      return Axes{5, 1, 3, 2, 0, false};
    case KvFormat::kNlXNbTwoBsNhHs:
      return Axes{5, 0, 2, 3, 1, false};
    case KvFormat::kNlXNbTwoNhBsHs:
      return Axes{5, 0, 3, 2, 1, false};
    case KvFormat::kNbNlTwoBsNhHs:
      return Axes{6, 0, 3, 4, 2, false};
    case KvFormat::kNbNlTwoNhBsHs:
      return Axes{6, 0, 4, 3, 2, false};
    case KvFormat::kNlXNbBsHs:
    case KvFormat::kNlXNbBsvBss:
      return Axes{3, 0, 1, kNone, kNone, true};
    case KvFormat::kNlXNbbsOneHs:
      return Axes{3, 0, 1, kNone, kNone, false};
    case KvFormat::kNlXNbNhBsCs:
      return Axes{4, 0, 2, 1, kNone, true};
    case KvFormat::kNlXNbBsNhCs:
    case KvFormat::kNlXNbBsNhHs:
      return Axes{4, 0, 1, 2, kNone, true};
    case KvFormat::kTwoXNlXNbbsNhHs:
    case KvFormat::kTwoXNlXNbBsNhHs:
      return Axes{4, 0, 1, 2, kNone, false};
  }
  return std::nullopt;
}

std::uint64_t axis_stride(const View& view, std::size_t axis) {
  return axis == 0 ? view.stride0 : view.tight_stride(axis);
}

Result<Layer> layer_of(KvFormat format, std::size_t tensor, const TensorDesc& desc,
                       const View& view) {
  const std::optional<Axes> axes = axes_of(format);
  const auto number = std::to_string(static_cast<unsigned>(format));
  if (!axes || view.shape.size() != axes->rank) {
    return bad_geometry(describe(tensor, desc) + ": not the axes of format " + number);
  }
  if (view.padded() && !axes->padding) {
    return bad_geometry(describe(tensor, desc) + ": format " + number + " allows no padding");
  }
  const auto size = [&](std::size_t axis) {
    return axis == Axes::kNone ? std::uint64_t{1} : view.shape[axis];
  };
  if (axes->planes != Axes::kNone && size(axes->planes) != 2) {
    return bad_geometry(describe(tensor, desc) + ": format " + number + " needs K/V axis " +
                        std::to_string(axes->planes) + " of size 2, found " +
                        std::to_string(size(axes->planes)));
  }
  const std::uint64_t slots = size(axes->slots);
  const std::uint64_t heads = size(axes->heads);
  const std::uint64_t head_size = view.shape.back();
  // The view lies inside its segment, so these products are small; the limits keep them inside 32
  // bits.
  const std::uint64_t row_bytes = heads * head_size * view.item_bytes;
  if (slots > kMaxSlotsPerBlock || heads > kMaxHeads || row_bytes > kMaxRowBytes) {
    return bad_geometry(describe(tensor, desc) + ": rows per block, heads or row bytes too large");
  }
  if (format == KvFormat::kNlXNbBsvBss && row_bytes != kIndexerRowBytes) {
    return bad_geometry(describe(tensor, desc) + ": an indexer row has 132 bytes, found " +
                        std::to_string(row_bytes));
  }
  Layer layer;
  layer.format = format;
  layer.dtype = desc.dtype;
  layer.item_bytes = view.item_bytes;
  layer.planes = axes->planes == Axes::kNone ? 1 : 2;
  layer.num_blocks = size(axes->blocks);
  layer.slots = static_cast<std::uint32_t>(slots);
  layer.heads = static_cast<std::uint32_t>(heads);
  layer.head_size = static_cast<std::uint32_t>(head_size);
  layer.block_stride_bytes = axis_stride(view, axes->blocks) * view.item_bytes;
  const std::uint64_t plane_bytes =
      layer.planes == 2 ? axis_stride(view, axes->planes) * view.item_bytes : 0;
  for (std::uint32_t plane = 0; plane < layer.planes; ++plane) {
    layer.origins.at(plane) = {static_cast<std::uint32_t>(tensor),
                               view.offset_bytes + plane * plane_bytes};
  }
  return layer;
}

}  // namespace

Result<Layer> per_layer(KvFormat format, std::size_t tensor, const TensorDesc& desc, View view) {
  if (format == KvFormat::kNlXNbBsvBss && view.shape.size() == 4) {
    // The indexer registered with a head axis of one; which middle axis it is does not matter for
    // the bytes.
    const std::size_t head_axis = view.shape[1] == 1 ? 1 : 2;
    if (view.shape[head_axis] != 1) {
      return bad_geometry(describe(tensor, desc) + ": an indexer plane has a single head");
    }
    view.shape.erase(view.shape.begin() + static_cast<std::ptrdiff_t>(head_axis));
  }
  return layer_of(format, tensor, desc, view);
}

Result<std::vector<Layer>> cross_layer(KvFormat format, const TensorDesc& desc, const View& view) {
  const Result<Layer> first = layer_of(format, 0, desc, view);
  if (!first) return first.error();
  const std::uint64_t count = view.shape[1];
  if (count > kMaxTensors) {
    return bad_geometry(describe(0, desc) + ": more than " + std::to_string(kMaxTensors) +
                        " layers");
  }
  const std::uint64_t layer_bytes = view.tight_stride(1) * view.item_bytes;
  std::vector<Layer> layers;
  layers.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    layers.push_back(first.value());
    for (PlaneOrigin& origin : layers.back().origins) origin.offset += i * layer_bytes;
  }
  return layers;
}

Result<View> split_blocks(std::size_t tensor, const TensorDesc& desc, View view,
                          std::int64_t rows_per_block) {
  if (view.shape.size() != 3 || view.padded()) {
    return bad_geometry(describe(tensor, desc) +
                        ": a pool of token rows needs 3 axes and no padding between rows");
  }
  const auto rows = static_cast<std::uint64_t>(rows_per_block);
  if (rows_per_block <= 0 || view.shape[0] % rows != 0) {
    return bad_geometry(describe(tensor, desc) + ": " + std::to_string(view.shape[0]) +
                        " rows are not whole blocks of " + std::to_string(rows_per_block));
  }
  view.shape.insert(view.shape.begin() + 1, rows);
  view.shape[0] /= rows;
  view.inner *= rows;
  view.stride0 = view.inner;
  return view;
}

Result<Layer> plane_pair(KvFormat format, std::array<std::size_t, 2> tensors,
                         const TensorDesc& desc, const std::array<View, 2>& views) {
  Result<Layer> layer = layer_of(format, tensors[0], desc, views[0]);
  if (!layer) return layer;
  layer.value().planes = 2;
  layer.value().origins[1] = {static_cast<std::uint32_t>(tensors[1]), views[1].offset_bytes};
  return layer;
}

}  // namespace lmcache::geometry
