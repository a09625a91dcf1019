#include "pool/memory_lock.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

#include <cerrno>
#include <string>
#include <system_error>

namespace lmcache::pool {

Status lock_memory(std::span<std::byte> memory) {
  if (::mlock2(memory.data(), memory.size(), MLOCK_ONFAULT) == 0) return {};
  const std::string reason = std::generic_category().message(errno);
  const std::string hint = memlock_hint(memory.size());
  return Error{Cause::kNoMemory, "L1's " + std::to_string(memory.size()) +
                                     " bytes cannot be locked (" + reason + ")" +
                                     (hint.empty() ? "; " : ": " + hint + " or ") +
                                     "leave --l1-lock-memory out"};
}

std::string memlock_hint(std::uint64_t bytes) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur >= bytes) return {};  // RLIM_INFINITY is the largest number
  return "the memlock limit is " + std::to_string(limit.rlim_cur) +
         " bytes; raise it (ulimit -l unlimited, or LimitMEMLOCK=infinity in the systemd unit)";
}

}  // namespace lmcache::pool
