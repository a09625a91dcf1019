// How the C library's heap is told to behave in the server.
#pragma once

#include <malloc.h>

namespace lmcache::app {

/// Requests take and give back the same hundreds of kilobytes again and again. By default that goes
/// to the kernel and back each time, and clearing the pages anew was a third of a lookup. What a
/// message may need at most (some MiB) is kept; larger blocks are given back at once.
inline void keep_freed_memory() noexcept {
  static_cast<void>(mallopt(M_MMAP_THRESHOLD, 4 << 20));
  static_cast<void>(mallopt(M_TRIM_THRESHOLD, 16 << 20));
}

}  // namespace lmcache::app
