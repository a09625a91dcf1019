// One layer in one format: what the copy needs of it, whatever list or axis the engine keeps its
// layers in.
#pragma once

#include "geometry/view.hpp"

#include <lmcache/geometry.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace lmcache::geometry {

struct Layer {
  KvFormat format{};
  std::string dtype;
  std::uint32_t item_bytes = 0;
  std::uint32_t planes = 1;
  std::uint64_t num_blocks = 0;
  std::uint32_t slots = 0;      ///< rows of one block
  std::uint32_t heads = 1;      ///< 1 for single-vector (MLA) formats
  std::uint32_t head_size = 0;  ///< elements
  std::uint64_t block_stride_bytes = 0;
  std::array<PlaneOrigin, 2> origins{};  ///< [planes]
};

/// Per-layer formats: 1, 2, 3, 6, 7, 12, 13, 14, 18. `tensor` is the index in the registration, for
/// origins and errors.
[[nodiscard]] Result<Layer> per_layer(KvFormat format, std::size_t tensor, const TensorDesc& desc,
                                      View view);

/// Formats 0 and 8: all layers of one tensor [NB, NL, 2, ...].
[[nodiscard]] Result<std::vector<Layer>> cross_layer(KvFormat format, const TensorDesc& desc,
                                                     const View& view);

/// Formats 4, 5, 9 and SGLang's per-token MLA pools: [NB*rows, heads, size] becomes [NB, rows,
/// heads, size].
[[nodiscard]] Result<View> split_blocks(std::size_t tensor, const TensorDesc& desc, View view,
                                        std::int64_t rows_per_block);

/// Formats 4 and 9: one plane per tensor, both views [NB, BS, NH, HS].
[[nodiscard]] Result<Layer> plane_pair(KvFormat format, std::array<std::size_t, 2> tensors,
                                       const TensorDesc& desc, const std::array<View, 2>& views);

}  // namespace lmcache::geometry
