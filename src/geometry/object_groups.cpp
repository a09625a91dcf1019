#include "geometry/object_groups.hpp"

#include "geometry/limits.hpp"
#include "geometry/text.hpp"

#include <algorithm>
#include <string>
#include <tuple>

namespace lmcache::geometry {
namespace {

/// Groups that may share an object when they are kept apart: same private tag, same kind, same
/// reach in chunks.
using Bucket = std::tuple<std::int64_t, bool, std::int32_t>;

Bucket bucket_of(const KernelGroup& group, std::uint32_t chunk_tokens) {
  std::int32_t chunks = -1;
  if (group.window_tokens > 0) {
    const auto window = static_cast<std::uint64_t>(group.window_tokens);
    const std::uint64_t needed = (window - 1) / chunk_tokens + 1;
    chunks = static_cast<std::int32_t>(std::min<std::uint64_t>(needed, INT32_MAX));
  }
  return {group.extra_object_group_tag, group.recurrent_state, chunks};
}

std::vector<ObjectGroup> separated(const Geometry& geometry) {
  std::vector<std::pair<Bucket, ObjectGroup>> found;
  for (std::uint32_t i = 0; i < geometry.kernel_groups.size(); ++i) {
    const Bucket bucket = bucket_of(geometry.kernel_groups[i], geometry.chunk_tokens);
    auto place = std::find_if(found.begin(), found.end(),
                              [&](const auto& entry) { return entry.first == bucket; });
    if (place == found.end()) {
      place = found.insert(found.end(), {bucket, ObjectGroup{}});
      place->second.window_chunks = std::get<2>(bucket);
      place->second.auxiliary = std::get<0>(bucket) > 0;
    }
    place->second.kernel_groups.push_back(i);
  }
  // Private groups come last, so the ids of the ordinary ones do not depend on them.
  std::stable_partition(found.begin(), found.end(),
                        [](const auto& entry) { return !entry.second.auxiliary; });
  std::vector<ObjectGroup> groups;
  groups.reserve(found.size());
  for (auto& [bucket, group] : found) groups.push_back(std::move(group));
  return groups;
}

}  // namespace

Status lay_out_objects(Geometry& geometry, bool separate) {
  if (separate) {
    geometry.object_groups = separated(geometry);
  } else {
    geometry.object_groups.assign(1, ObjectGroup{});
    for (std::uint32_t i = 0; i < geometry.kernel_groups.size(); ++i) {
      geometry.object_groups[0].kernel_groups.push_back(i);
    }
  }
  if (geometry.object_groups.size() > kMaxObjectGroups) {
    return bad_geometry(std::to_string(geometry.object_groups.size()) + " object groups, at most " +
                        std::to_string(kMaxObjectGroups));
  }
  for (std::uint32_t id = 0; id < geometry.object_groups.size(); ++id) {
    ObjectGroup& object = geometry.object_groups[id];
    for (const std::uint32_t index : object.kernel_groups) {
      KernelGroup& group = geometry.kernel_groups[index];
      group.object_group = id;
      group.object_offset = object.bytes;
      object.bytes += group.region_bytes;  // both at most kMaxObjectBytes
      if (object.bytes > kMaxObjectBytes) {
        return bad_geometry("object group " + std::to_string(id) + " is larger than " +
                            std::to_string(kMaxObjectBytes) + " bytes");
      }
    }
  }
  return {};
}

}  // namespace lmcache::geometry
