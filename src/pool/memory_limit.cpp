#include "pool/memory_limit.hpp"

#include <fstream>
#include <utility>

namespace lmcache::pool {
namespace {

void lower(MemoryLimit& limit, std::uint64_t bytes, std::string source) {
  if (bytes < limit.bytes) limit = {bytes, std::move(source)};
}

void apply_available(const std::filesystem::path& proc, MemoryLimit& limit) {
  std::ifstream file(proc / "meminfo");
  std::string name;
  std::string rest;
  std::uint64_t kib = 0;
  while (file >> name) {
    if (name == "MemAvailable:" && file >> kib && kib <= UINT64_MAX / 1024) {
      lower(limit, kib * 1024, "available memory of this machine (MemAvailable)");
      return;
    }
    std::getline(file, rest);
  }
}

void apply_group(const std::filesystem::path& group, MemoryLimit& limit) {
  std::ifstream file(group / "memory.max");  // "max", or bytes
  std::uint64_t bytes = 0;
  if (file >> bytes) lower(limit, bytes, "memory limit of the control group (memory.max)");
}

/// Path below the control group root ("/a/b"), empty if this process is in no version 2 group.
std::string own_group(const std::filesystem::path& proc) {
  std::ifstream file(proc / "self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::/")) return line.substr(3);
  return {};
}

}  // namespace

MemoryLimit memory_limit(const std::filesystem::path& proc, const std::filesystem::path& cgroups) {
  MemoryLimit limit;
  apply_available(proc, limit);
  const std::string group = own_group(proc);
  if (group.empty()) return limit;
  // A group's parents limit it as well.
  std::filesystem::path folder = cgroups;
  apply_group(folder, limit);
  for (const auto& part : std::filesystem::path(group).relative_path()) {
    folder /= part;
    apply_group(folder, limit);
  }
  return limit;
}

}  // namespace lmcache::pool
