#include "pool/memory_lock.hpp"

#include "pool/arena.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lmcache::pool {
namespace {

// Root may lock whatever it likes, so the limit is tried as somebody else, in a process of its own.
int lock_unprivileged(rlim_t limit) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit both{limit, limit};
    if (::setrlimit(RLIMIT_MEMLOCK, &both) != 0) ::_exit(3);
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) ::_exit(3);
    auto arena = Arena::create(2u << 20);
    if (!arena) ::_exit(4);
    const Status locked = lock_memory(arena->memory());
    if (locked) ::_exit(0);
    const std::string& text = locked.error().text;
    const bool helpful = text.find("ulimit -l") != std::string::npos &&
                         text.find("LimitMEMLOCK") != std::string::npos;
    ::_exit(helpful ? 1 : 2);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
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
