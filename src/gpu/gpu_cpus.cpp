#include "gpu/gpu_cpus.hpp"

#include <sched.h>

#include <charconv>
#include <fstream>
#include <set>
#include <string>
#include <string_view>

namespace lmcache::gpu {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

/// "0-3,8" as a set.
void add_cpus(std::string_view list, std::set<unsigned>& cpus) {
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    unsigned first = 0;
    const auto [end, error] = std::from_chars(item.begin(), item.end(), first);
    if (error != std::errc{}) return;
    unsigned last = first;
    if (end != item.end() && *end == '-') std::from_chars(end + 1, item.end(), last);
    for (unsigned cpu = first; cpu <= last && cpu < CPU_SETSIZE; ++cpu) cpus.insert(cpu);
  }
}

/// Folders of PCI devices that compute: NVIDIA's VGA and 3D controllers.
std::vector<fs::path> nvidia_gpus(const fs::path& sys) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& device : fs::directory_iterator(sys / "bus/pci/devices", error)) {
    if (first_line(device.path() / "vendor") != "0x10de") continue;
    if (first_line(device.path() / "class").starts_with("0x03")) found.push_back(device.path());
  }
  return found;
}

}  // namespace

std::vector<unsigned> gpu_cpus(const fs::path& sys) {
  std::set<unsigned> cpus;
  for (const fs::path& gpu : nvidia_gpus(sys)) {
    const std::string node = first_line(gpu / "numa_node");
    if (node.empty() || node.starts_with('-')) continue;
    add_cpus(first_line(sys / "devices/system/node" / ("node" + node) / "cpulist"), cpus);
  }
  return {cpus.begin(), cpus.end()};
}

bool any_gpu(const fs::path& sys) {
  return !nvidia_gpus(sys).empty();
}

void run_on_gpu_cpus() {
  static const std::vector<unsigned> cpus = gpu_cpus();
  if (cpus.empty()) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned cpu : cpus) CPU_SET(cpu, &set);
  static_cast<void>(::sched_setaffinity(0, sizeof set, &set));  // a wish: memory comes anyway
}

}  // namespace lmcache::gpu
