// Which kernel groups share an object, and where each one's region starts in it.
#pragma once

#include <lmcache/geometry.hpp>

namespace lmcache::geometry {

/// Fills object_groups and each kernel group's object_group, object_offset. Regions follow each
/// other in kernel group order without padding, on CPU and GPU alike. Error: more than 64 groups,
/// or an object too large.
[[nodiscard]] Status lay_out_objects(Geometry& geometry, bool separate);

}  // namespace lmcache::geometry
