#include "pool/memory_limit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace lmcache::pool {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class MemoryLimitTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "lmcache-limit-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { fs::remove_all(root_); }
  void put(const fs::path& name, const std::string& text) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  MemoryLimit limit() const { return memory_limit(root_ / "proc", root_ / "groups"); }

  fs::path root_;
};

TEST_F(MemoryLimitTest, NothingKnownDoesNotLimit) {
  EXPECT_EQ(limit().bytes, UINT64_MAX);
}

TEST_F(MemoryLimitTest, ReadsMemAvailable) {
  put("proc/meminfo", "MemTotal:  100 kB\nMemFree: 20 kB\nMemAvailable:   50 kB\nBuffers: 1 kB\n");
  EXPECT_EQ(limit().bytes, 50u * 1024);
  EXPECT_THAT(limit().source, HasSubstr("MemAvailable"));
}

TEST_F(MemoryLimitTest, TheTightestOfAllEnclosingGroupsCounts) {
  put("proc/meminfo", "MemAvailable: 50 kB\n");
  put("proc/self/cgroup", "4:memory:/old\n0::/pod/main\n");
  put("groups/pod/memory.max", "4096\n");
  put("groups/pod/main/memory.max", "max\n");
  EXPECT_EQ(limit().bytes, 4096u);
  EXPECT_THAT(limit().source, HasSubstr("memory.max"));
  put("groups/memory.max", "100\n");
  EXPECT_EQ(limit().bytes, 100u);
}

TEST_F(MemoryLimitTest, AWideGroupLeavesTheMachineAsTheLimit) {
  put("proc/meminfo", "MemAvailable: 1 kB\n");
  put("proc/self/cgroup", "0::/\n");
  put("groups/memory.max", "4096\n");
  EXPECT_EQ(limit().bytes, 1024u);
}

TEST_F(MemoryLimitTest, VersionOneGroupsAreNotLookedAt) {
  put("proc/self/cgroup", "4:memory:/old\n");
  put("groups/memory.max", "100\n");
  EXPECT_EQ(limit().bytes, UINT64_MAX);
}

TEST_F(MemoryLimitTest, NonsenseDoesNotLimit) {
  put("proc/meminfo", "MemAvailable: lots\n");
  put("proc/self/cgroup", "0::/a\n");
  put("groups/a/memory.max", "-\n");
  EXPECT_EQ(limit().bytes, UINT64_MAX);
}

}  // namespace
}  // namespace lmcache::pool
