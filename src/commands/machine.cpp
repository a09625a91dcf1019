// Facts about this machine. Linux.
#include "commands/doctor.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>

namespace lmcache::commands {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> read_file(const fs::path& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Names of a folder's entries that start with `prefix`.
std::vector<std::string> entries(const fs::path& folder, const std::string& prefix) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    std::string name = at->path().filename();
    if (name.starts_with(prefix)) names.push_back(std::move(name));
  }
  return names;
}

std::uint64_t limit_of(__rlimit_resource_t what, bool hard) {
  rlimit limit{};
  if (::getrlimit(what, &limit) != 0) return 0;
  const rlim_t value = hard ? limit.rlim_max : limit.rlim_cur;
  return value == RLIM_INFINITY ? UINT64_MAX : value;
}

std::optional<std::uint64_t> available_memory() {
  const auto text = read_file("/proc/meminfo");
  const std::size_t at = text ? text->find("MemAvailable:") : std::string::npos;
  if (at == std::string::npos) return std::nullopt;
  return std::strtoull(text->c_str() + at + 13, nullptr, 10) * 1024;
}

/// The word in brackets: "always [madvise] never".
std::optional<std::string> hugepage_mode() {
  const auto text = read_file("/sys/kernel/mm/transparent_hugepage/enabled");
  if (!text) return std::nullopt;
  const std::size_t open = text->find('['), close = text->find(']');
  if (open == std::string::npos || close == std::string::npos) return std::nullopt;
  return text->substr(open + 1, close - open - 1);
}

std::optional<bool> own_ipc_namespace() {
  std::error_code here, first;
  const auto own = fs::read_symlink("/proc/self/ns/ipc", here);
  const auto machine = fs::read_symlink("/proc/1/ns/ipc", first);
  if (here || first) return std::nullopt;
  return own != machine;
}

/// Of /proc/driver/nvidia/version: the word after "Kernel Module".
std::optional<std::string> driver_version() {
  const auto text = read_file("/proc/driver/nvidia/version");
  if (!text) return std::nullopt;
  const std::size_t at = text->find("Kernel Module");
  if (at == std::string::npos) return "of unknown version";
  std::istringstream words(text->substr(at + 13));
  std::string word;
  while (words >> word)
    if (word.find_first_not_of("0123456789.") == std::string::npos) return word;
  return "of unknown version";
}

/// Whether a listener could bind it on the loopback address now.
std::optional<bool> is_free(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  const int on = 1;
  static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                     ::listen(fd, 1) == 0;
  const bool taken = !bound && errno == EADDRINUSE;
  ::close(fd);
  return !taken;
}

}  // namespace

std::vector<std::string> unusable_devices(const fs::path& dev, bool gpus) {
  std::vector<std::string> names = entries(dev, "nvidia");
  std::erase_if(names, [](const std::string& name) {
    return name.size() == 6 || name.find_first_not_of("0123456789", 6) != std::string::npos;
  });
  std::ranges::sort(names);
  if (gpus && names.empty()) names.emplace_back("nvidia0");
  names.insert(names.begin(), {"nvidiactl", "nvidia-uvm"});
  std::vector<std::string> paths;
  for (const std::string& name : names)
    if (const fs::path path = dev / name; ::access(path.c_str(), R_OK | W_OK) != 0)
      paths.push_back(path);
  return paths;
}

Machine look_around(const Plan& plan) {
  Machine machine;
  machine.memory_available_bytes = available_memory();
  machine.memlock_bytes = limit_of(RLIMIT_MEMLOCK, false);
  machine.open_files = limit_of(RLIMIT_NOFILE, true);
  machine.transparent_hugepages = hugepage_mode();
  struct statvfs shm {};
  if (::statvfs("/dev/shm", &shm) == 0) {
    machine.shm_bytes = std::uint64_t{shm.f_blocks} * shm.f_frsize;
    machine.shm_free_bytes = std::uint64_t{shm.f_bavail} * shm.f_frsize;
  }
  std::error_code ignored;
  machine.in_container =
      fs::exists("/.dockerenv", ignored) || fs::exists("/run/.containerenv", ignored);
  machine.own_ipc_namespace = own_ipc_namespace();
  machine.gpu_driver = driver_version();
  if (machine.gpu_driver) {
    machine.gpus = entries("/proc/driver/nvidia/gpus", "");
    machine.unusable_devices = unusable_devices("/dev", !machine.gpus.empty());
  }
  const auto nodes = entries("/sys/devices/system/node", "node");
  machine.numa_nodes = static_cast<std::uint32_t>(std::max<std::size_t>(1, nodes.size()));
  machine.request_port_free = is_free(plan.request_port);
  machine.http_port_free = is_free(plan.http_port);
  return machine;
}

}  // namespace lmcache::commands
