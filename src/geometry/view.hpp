// One descriptor, checked and brought into memory order. A page can only be copied when its rows
// lie next to each other, so the only gap that is accepted lies between the entries of the
// outermost axis ("dim-0 padding", kv-cache pools that pad every block to the widest one).
#pragma once

#include <lmcache/geometry.hpp>

#include <vector>

namespace lmcache::geometry {

struct View {
  std::vector<std::uint64_t> shape;  ///< outermost axis first, every size >= 1
  std::uint64_t stride0 = 0;         ///< elements from one entry of axis 0 to the next
  std::uint64_t inner = 0;           ///< elements of one entry of axis 0; <= stride0
  std::uint32_t item_bytes = 0;
  std::uint64_t offset_bytes = 0;  ///< of the first element from the segment base

  /// Elements from one entry of axis `axis` (> 0) to the next: the sizes behind it multiplied.
  [[nodiscard]] std::uint64_t tight_stride(std::size_t axis) const noexcept;
  [[nodiscard]] bool padded() const noexcept { return shape[0] > 1 && stride0 != inner; }
};

/// Errors: unknown dtype, empty or negative axes, overlapping or inner-padded strides, elements
/// outside the segment. On success every element of the view lies inside [0, segment_bytes).
[[nodiscard]] Result<View> recover_view(std::size_t index, const TensorDesc& tensor);

}  // namespace lmcache::geometry
