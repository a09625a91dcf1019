#include "pool/arena.hpp"

#include <linux/mman.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <limits>
#include <string>
#include <system_error>
#include <utility>

namespace lmcache::pool {
namespace {

constexpr std::uint64_t kHugePage = 2ull << 20;

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

Error no_huge_pages(std::uint64_t wanted, const HugePages& there) {
  const std::uint64_t missing = wanted - there.available();
  return too_large(wanted * kHugePage, "--l1-use-hugepages needs " + std::to_string(wanted) +
                                           " free pages of 2 MiB and there are " +
                                           std::to_string(there.available()) + ", so " +
                                           std::to_string(missing) +
                                           " are missing; reserve them (sysctl vm.nr_hugepages=" +
                                           std::to_string(there.total + missing) + ")");
}

}  // namespace

Result<Arena> Arena::create(std::uint64_t bytes, const MemoryLimit& limit, Pages pages,
                            const HugePages& reserve) {
  if (bytes == 0) return Error{Cause::kNoMemory, "L1 has no memory at all; raise --l1-size-gb"};
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (bytes > kMost - kHugePage) return too_large(bytes, "no address space is that large");
  const bool huge = pages == Pages::kHuge;
  const std::uint64_t page = huge ? kHugePage : static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t size = (bytes + page - 1) / page * page;
  // Reserved pages are not part of what is available.
  if (!huge && size > limit.bytes)
    return too_large(size, gib(limit.bytes) + " is the " + limit.source);
  if (huge && size / kHugePage > reserve.available())
    return no_huge_pages(size / kHugePage, reserve);

  const int flags =
      MAP_PRIVATE | MAP_ANONYMOUS | (huge ? MAP_HUGETLB | MAP_HUGE_2MB : MAP_NORESERVE);
  // Mapped with room to spare, so that the part kept starts where a huge page can.
  const std::uint64_t spare = huge ? 0 : kHugePage;
  void* mapped = ::mmap(nullptr, size + spare, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (mapped == MAP_FAILED) return refused(size, "mmap");
  auto* base = static_cast<std::byte*>(mapped);
  if (!huge) {
    const std::uint64_t before =
        (kHugePage - reinterpret_cast<std::uintptr_t>(base) % kHugePage) % kHugePage;
    if (before > 0) ::munmap(base, before);
    if (before < spare) ::munmap(base + before + size, spare - before);
    base += before;
    static_cast<void>(::madvise(base, size, MADV_HUGEPAGE));  // a wish; see the header
  }
  static_cast<void>(::madvise(base, size, MADV_DONTFORK));
  return Arena(std::span{base, static_cast<std::size_t>(size)});
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
