#include "pool/memory_lock.hpp"

#include "pool/arena.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>

namespace lmcache::pool {
namespace {

// Root may lock whatever it likes, so the limit is tried as somebody else, in a process of its own.
int unprivileged(rlim_t limit, const std::function<int()>& what) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit both{limit, limit};
    if (::setrlimit(RLIMIT_MEMLOCK, &both) != 0) ::_exit(3);
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) ::_exit(3);
    ::_exit(what());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int lock_unprivileged(rlim_t limit) {
  return unprivileged(limit, [] {
    auto arena = Arena::create(2u << 20);
    if (!arena) return 4;
    const Status locked = lock_memory(arena->memory());
    if (locked) return 0;
    const std::string& text = locked.error().text;
    const bool helpful = text.find("the memlock limit is 65536 bytes") != std::string::npos &&
                         text.find("ulimit -l") != std::string::npos &&
                         text.find("LimitMEMLOCK") != std::string::npos;
    return helpful ? 1 : 2;
  });
}

TEST(MemoryLock, TheLimitIsNamedOnlyWhereItIsTooSmall) {
  const auto hint = [](std::uint64_t bytes) {
    return unprivileged(64u << 10, [bytes] { return memlock_hint(bytes).empty() ? 0 : 1; });
  };
  EXPECT_EQ(hint(64u << 10), 0);
  EXPECT_EQ(hint((64u << 10) + 1), 1);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  EXPECT_EQ(memlock_hint(UINT64_MAX).empty(), limit.rlim_cur == RLIM_INFINITY);
}

TEST(MemoryLock, ATooSmallLimitNamesTheCure) {
  EXPECT_EQ(lock_unprivileged(64u << 10), 1);
}

TEST(MemoryLock, LocksWithinTheLimit) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_MEMLOCK, &limit), 0);
  if (limit.rlim_max < (4u << 20)) GTEST_SKIP() << "the memlock limit here is below 4 MiB";
  EXPECT_EQ(lock_unprivileged(4u << 20), 0);
}

}  // namespace
}  // namespace lmcache::pool
