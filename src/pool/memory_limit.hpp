// How much memory this process may take before the kernel has to kill something.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace lmcache::pool {

struct MemoryLimit {
  std::uint64_t bytes = UINT64_MAX;  ///< UINT64_MAX: nothing known limits us
  std::string source = "no limit";   ///< which figure it is, for the error text
};

/// The smaller of the machine's available memory (MemAvailable) and memory.max of every version 2
/// control group this process is in. Files that are missing or unreadable do not limit. The folders
/// are arguments for tests only.
[[nodiscard]] MemoryLimit memory_limit(const std::filesystem::path& proc = "/proc",
                                       const std::filesystem::path& cgroups = "/sys/fs/cgroup");

}  // namespace lmcache::pool
