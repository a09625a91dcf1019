// A segment of shared memory as an engine makes it for its tensors.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

namespace lmcache::load {

/// Unmapped at the end, and unlinked if it was not before. All of its memory is taken at once, so
/// that writing to it cannot fail; throws std::runtime_error where there is too little.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes, std::string name = {})
      : name_(name.empty() ? unused_name() : std::move(name)), bytes_(bytes) {
    const int fd = ::shm_open(name_.c_str(), O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) fail("make", errno);
    const int error = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
    void* data =
        error != 0 ? MAP_FAILED : ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int reason = error != 0 ? error : errno;
    ::close(fd);
    if (data == MAP_FAILED) {
      unlink();
      fail("take", reason);
    }
    data_ = static_cast<std::byte*>(data);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() {
    ::munmap(data_, bytes_);
    unlink();
  }

  /// Takes the name away; who has mapped it keeps it. After that nothing is left behind, however
  /// this process ends.
  void unlink() {
    if (!std::exchange(unlinked_, true)) ::shm_unlink(name_.c_str());
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return bytes_; }

 private:
  static std::string unused_name() {
    static std::atomic<unsigned> next{0};
    return "/lmcache_load_" + std::to_string(::getpid()) + "_" + std::to_string(next++);
  }
  [[noreturn]] void fail(const char* what, int error) const {
    throw std::runtime_error(std::string("cannot ") + what + " " + std::to_string(bytes_ >> 20) +
                             " MiB of shared memory: " + std::strerror(error) +
                             "; see lmcache doctor, or ask for less");
  }

  std::string name_;
  std::size_t bytes_;
  std::byte* data_ = nullptr;
  bool unlinked_ = false;
};

}  // namespace lmcache::load
