// A broken invariant is a bug of ours after which bytes of one prompt could be served for another:
// stop at once.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace lmcache {

inline void invariant(bool holds, const char* what) noexcept {
  if (holds) [[likely]]
    return;
  std::fprintf(stderr, "broken invariant: %s\n", what);
  std::abort();
}

}  // namespace lmcache
