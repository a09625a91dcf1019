// The administrator's reserve of 2 MiB pages (vm.nr_hugepages).
#pragma once

#include <cstdint>
#include <filesystem>

namespace lmcache::pool {

struct HugePages {
  std::uint64_t total = 0;
  std::uint64_t free = 0;    ///< not touched yet, though somebody may have mapped them
  std::uint64_t mapped = 0;  ///< of the free ones, by others: not to be had

  [[nodiscard]] std::uint64_t available() const noexcept {
    return free > mapped ? free - mapped : 0;
  }
};

/// As the kernel shows it; what it does not show is 0. The folder is an argument for tests only.
[[nodiscard]] HugePages huge_pages(
    const std::filesystem::path& folder = "/sys/kernel/mm/hugepages/hugepages-2048kB");

}  // namespace lmcache::pool
