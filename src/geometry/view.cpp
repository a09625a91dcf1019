#include "geometry/view.hpp"

#include "geometry/checked.hpp"
#include "geometry/limits.hpp"
#include "geometry/text.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>

namespace lmcache::geometry {
namespace {

struct Axis {
  std::uint64_t size = 0;
  std::uint64_t stride = 0;
};

std::uint64_t product(const std::vector<std::uint64_t>& sizes, std::size_t from) {
  return std::accumulate(sizes.begin() + static_cast<std::ptrdiff_t>(from), sizes.end(),
                         std::uint64_t{1}, std::multiplies<>());
}

/// What is wrong with the descriptor taken by itself, or nullptr.
const char* find_fault(const TensorDesc& tensor) {
  if (dtype_bytes(tensor.dtype) == 0) return "unknown dtype";
  if (tensor.shape.empty() || tensor.shape.size() > kMaxRank) return "1 to 8 axes are supported";
  if (tensor.stride.size() != tensor.shape.size()) return "shape and stride differ in length";
  if (tensor.storage_offset < 0) return "negative storage offset";
  for (const std::int64_t size : tensor.shape) {
    if (size <= 0) return "every axis needs at least one element";
  }
  for (const std::int64_t stride : tensor.stride) {
    if (stride < 0) return "negative stride";
  }
  return nullptr;
}

/// Bytes up to and including the last element, nullopt beyond the segment.
bool inside_segment(const TensorDesc& tensor, std::uint32_t item) {
  Checked last = static_cast<std::uint64_t>(tensor.storage_offset);
  Checked count = 1;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    const auto size = static_cast<std::uint64_t>(tensor.shape[i]);
    last = last + Checked(size - 1) * static_cast<std::uint64_t>(tensor.stride[i]);
    count = count * size;
  }
  // The count is bounded too: a stride of 0 would let it grow without reaching further.
  return tensor.segment_bytes <= kMaxSegmentBytes &&
         ((last + 1) * item).fits(tensor.segment_bytes) &&
         (count * item).fits(tensor.segment_bytes);
}

/// Axes by stride, largest first; of equal strides an axis of one element is put innermost.
std::vector<Axis> in_memory_order(const TensorDesc& tensor) {
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
    axes.push_back({static_cast<std::uint64_t>(tensor.shape[i]),
                    static_cast<std::uint64_t>(tensor.stride[i])});
  }
  std::stable_sort(axes.begin(), axes.end(), [](const Axis& a, const Axis& b) {
    if (a.stride != b.stride) return a.stride > b.stride;
    return a.size != 1 && b.size == 1;
  });
  return axes;
}

bool contiguous(const std::vector<Axis>& axes) {
  std::uint64_t expected = 1;
  for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
    if (axis->size == 1) continue;
    if (axis->stride != expected) return false;
    expected *= axis->size;
  }
  return true;
}

/// The shape that the strides alone describe, as the client derives it; nullopt when they describe
/// none.
std::optional<std::vector<std::uint64_t>> shape_of_strides(const std::vector<Axis>& axes) {
  std::uint64_t count = 1;
  for (const Axis& axis : axes) count *= axis.size;
  std::vector<std::uint64_t> shape;
  Checked total = 1;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::uint64_t above = i == 0 ? count : axes[i - 1].stride;
    if (axes[i].stride == 0) return std::nullopt;
    shape.push_back(above / axes[i].stride);
    total = total * shape.back();
  }
  if (!total.fits(count) || total.value() != count) return std::nullopt;
  return shape;
}

}  // namespace

std::uint64_t View::tight_stride(std::size_t axis) const noexcept {
  return product(shape, axis + 1);
}

Result<View> recover_view(std::size_t index, const TensorDesc& tensor) {
  if (const char* fault = find_fault(tensor)) {
    return bad_geometry(describe(index, tensor) + ": " + fault);
  }
  View view;
  view.item_bytes = dtype_bytes(tensor.dtype);
  if (!inside_segment(tensor, view.item_bytes)) {
    return bad_geometry(describe(index, tensor) + ": reaches beyond its segment of " +
                        std::to_string(tensor.segment_bytes) + " bytes");
  }
  view.offset_bytes = static_cast<std::uint64_t>(tensor.storage_offset) * view.item_bytes;

  const std::vector<Axis> axes = in_memory_order(tensor);
  for (const Axis& axis : axes) view.shape.push_back(axis.size);
  view.inner = product(view.shape, 1);
  view.stride0 = axes[0].stride;
  if (contiguous(axes)) {
    if (auto shape = shape_of_strides(axes)) {
      view.shape = *std::move(shape);
      view.inner = product(view.shape, 1);
      view.stride0 = view.inner;
      return view;
    }
    // Only a pool of a single block gets here: its stride(0) says how far the next block would be.
  }
  std::uint64_t tight = 1;
  for (std::size_t i = axes.size(); i-- > 1;) {
    if (axes[i].stride != tight) {
      return bad_geometry(describe(index, tensor) +
                          ": only padding between the entries of the outermost axis is supported");
    }
    tight *= axes[i].size;
  }
  if (axes.size() < 2 || view.stride0 < tight) {
    return bad_geometry(describe(index, tensor) + ": blocks overlap or rows are strided");
  }
  return view;
}

}  // namespace lmcache::geometry
