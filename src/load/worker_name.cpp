#include "load/worker_name.hpp"

#include "load/pattern.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <fstream>
#include <functional>
#include <string>
#include <system_error>

namespace lmcache::load {
namespace {

/// Of the network namespace of this machine: names without a file, as below, are its own.
std::uint64_t place() {
  std::string boot;
  std::getline(std::ifstream("/proc/sys/kernel/random/boot_id"), boot);
  struct stat space {};
  static_cast<void>(::stat("/proc/self/ns/net", &space));
  return seed_of(std::hash<std::string>()(boot), space.st_ino);
}

/// Takes the name; false if somebody has it.
bool take(int fd, unsigned number) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = "lmcache-bench-worker-" + std::to_string(number);
  name.copy(address.sun_path + 1, name.size());  // behind a NUL: a name without a file
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return true;
  if (errno != EADDRINUSE) throw std::system_error(errno, std::generic_category(), "bind");
  return false;
}

}  // namespace

WorkerName::WorkerName() : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "socket");
  unsigned number = 0;
  while (!take(fd_, number)) ++number;
  id_ = static_cast<std::int64_t>(seed_of(place(), number) >> 1);
}

WorkerName::~WorkerName() {
  ::close(fd_);
}

}  // namespace lmcache::load
