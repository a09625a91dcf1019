#include "pool/arena.hpp"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

namespace lmcache::pool {
namespace {

std::string gib(std::uint64_t bytes) {
  char text[48];
  std::snprintf(text, sizeof text, "%.3f GiB", static_cast<double>(bytes) / (1ull << 30));
  return text;
}

Error too_large(std::uint64_t bytes, const std::string& why) {
  return {Cause::kNoMemory,
          "cannot get " + gib(bytes) + " for L1: " + why + "; lower --l1-size-gb"};
}

Error refused(std::uint64_t bytes, const char* call) {
  return too_large(bytes, std::string(call) + ": " + std::generic_category().message(errno));
}

/// Growing a file past RLIMIT_FSIZE would raise SIGXFSZ instead of failing.
std::uint64_t file_size_limit() {
  rlimit limit{};
  const bool limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return limited ? limit.rlim_cur : UINT64_MAX;
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<Arena> Arena::create(std::uint64_t bytes, const MemoryLimit& limit) {
  if (bytes == 0) return Error{Cause::kNoMemory, "L1 has no memory at all; raise --l1-size-gb"};
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (bytes > kMost - page) return too_large(bytes, "no address space is that large");
  const std::uint64_t size = (bytes + page - 1) / page * page;
  if (size > limit.bytes) return too_large(size, gib(limit.bytes) + " is the " + limit.source);
  if (size > file_size_limit())
    return too_large(size, gib(file_size_limit()) + " is the limit on file sizes (ulimit -f)");

  const Descriptor file{::memfd_create("lmcache-l1", MFD_CLOEXEC)};
  if (file.fd < 0) return refused(size, "memfd_create");
  if (::ftruncate(file.fd, static_cast<off_t>(size)) != 0) return refused(size, "ftruncate");
  void* base = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd, 0);
  if (base == MAP_FAILED) return refused(size, "mmap");
  static_cast<void>(::madvise(base, size, MADV_HUGEPAGE));  // a wish; see the header
  return Arena(std::span{static_cast<std::byte*>(base), static_cast<std::size_t>(size)});
}

Arena::Arena(Arena&& other) noexcept : memory_(std::exchange(other.memory_, {})) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(memory_, other.memory_);
  return *this;
}

Arena::~Arena() {
  if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
}

}  // namespace lmcache::pool
