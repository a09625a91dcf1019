// Which format an engine's tensors are in. The rules are the client's own (docs/LAYOUTS.md,
// "Detection"): a client computes its groups with them before it registers, so a different reading
// here would be a mismatch or, worse, other bytes.
#pragma once

#include "geometry/layer.hpp"

#include <lmcache/geometry.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace lmcache::geometry {

struct DetectedLayer {
  std::int64_t engine_group = 0;
  Layer layer;
};

/// By layer index, which is what infos count in: the tensor index, or the layer's position where
/// one tensor (0, 8) or a pair of tensors (4, 9) holds it. nullopt: in no group, never moved and
/// not looked at.
[[nodiscard]] Result<std::vector<std::optional<DetectedLayer>>> detect_layers(
    std::span<const TensorDesc> tensors, EngineType engine, const LayoutHints& hints,
    std::span<const GroupInfo> infos, const GeometryOptions& options);

}  // namespace lmcache::geometry
