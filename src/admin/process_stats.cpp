#include "admin/process_stats.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace lmcache::admin {
namespace {

std::string read_file(const char* path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The fields of /proc/self/stat after the name, which may hold anything: field 3 is at index 0.
std::vector<std::string> stat_fields() {
  const std::string text = read_file("/proc/self/stat");
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(text.substr(name_end + 1));
  std::vector<std::string> fields;
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

/// When the machine started, in Unix time.
double boot_time() {
  const std::string text = read_file("/proc/stat");
  const std::size_t at = text.find("btime ");
  return at == std::string::npos ? 0 : std::strtod(text.c_str() + at + 6, nullptr);
}

std::uint64_t count_fds() {
  std::error_code error;
  std::filesystem::directory_iterator entries("/proc/self/fd", error);
  std::uint64_t count = 0;
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error))
    ++count;
  return count == 0 ? 0 : count - 1;  // the one that reads the folder
}

}  // namespace

ProcessStats process_stats() {
  ProcessStats stats;
  const auto fields = stat_fields();
  if (fields.size() > 21) {
    const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    const auto number = [&](std::size_t field) { return std::stod(fields[field - 3]); };
    stats.cpu_seconds = (number(14) + number(15)) / ticks;
    stats.start_time = boot_time() + number(22) / ticks;
    stats.virtual_bytes = static_cast<std::uint64_t>(number(23));
    stats.resident_bytes = static_cast<std::uint64_t>(number(24)) * page;
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) stats.max_fds = limit.rlim_cur;
  stats.open_fds = count_fds();
  return stats;
}

}  // namespace lmcache::admin
