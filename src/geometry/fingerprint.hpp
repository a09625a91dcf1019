// The identity of object bytes.
#pragma once

#include <lmcache/geometry.hpp>

#include <string>

namespace lmcache::geometry {

/// Canonical text of everything that gives the bytes of an object their meaning, and of nothing
/// else; one line per group.
[[nodiscard]] std::string canonical_text(const Geometry& geometry);

/// BLAKE3 of canonical_text().
[[nodiscard]] Fingerprint fingerprint_of(const Geometry& geometry);

}  // namespace lmcache::geometry
