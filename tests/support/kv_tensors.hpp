// The made-up registrations of src/geometry/models.hpp, under the names that tests use.
#pragma once

#include "geometry/models.hpp"

namespace lmcache::test {

using geometry::deepseek_v4;
using geometry::dense;
using geometry::group_info;
using geometry::kv_layout;
using geometry::Registration;
using geometry::Sizes;
using geometry::span_bytes;
using geometry::strided;
using geometry::tight_strides;

}  // namespace lmcache::test
