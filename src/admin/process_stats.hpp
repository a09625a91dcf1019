// What the kernel says of this process. Linux.
#pragma once

#include <cstdint>

namespace lmcache::admin {

/// 0 where the kernel does not tell.
struct ProcessStats {
  double cpu_seconds = 0;
  double start_time = 0;  ///< Unix time in seconds
  std::uint64_t resident_bytes = 0, virtual_bytes = 0;
  std::uint64_t open_fds = 0, max_fds = 0;
};
[[nodiscard]] ProcessStats process_stats();

}  // namespace lmcache::admin
