// Shared memory: names, sizes, users, and the loss of pages under a copy.
#include "copy/segment.hpp"
#include "copy/cpu_copier.hpp"
#include "support/copy_job.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <future>

namespace lmcache::copy {
namespace {

using ::testing::HasSubstr;

/// A segment of the test's own, removed with it.
class SharedFile {
 public:
  explicit SharedFile(std::uint64_t bytes) {
    static int count = 0;
    name_ = "lmcache_test_" + std::to_string(::getpid()) + "_" + std::to_string(count++);
    fd_ = ::shm_open(("/" + name_).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
    resize(bytes);
  }
  ~SharedFile() {
    ::close(fd_);
    ::shm_unlink(("/" + name_).c_str());
  }
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;
  void resize(std::uint64_t bytes) const {
    if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) std::abort();
  }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
  int fd_ = -1;
};

std::string refusal(SegmentTable& table, std::string_view name, std::uint64_t bytes = 1) {
  const auto segment = table.open(name, bytes);
  if (segment) return "accepted";
  EXPECT_EQ(segment.error().cause, Cause::kBadSegment);
  return segment.error().text;
}

TEST(Segments, OneMappingForAllUsers) {
  const SharedFile file(8192);
  SegmentTable table;
  SegmentPtr first = table.open("/" + file.name(), 8192).value();
  SegmentPtr second = table.open(file.name(), 1).value();
  EXPECT_EQ(first, second);
  EXPECT_EQ(first->bytes(), 8192u);
  EXPECT_EQ(table.mapped(), 1u);
  first->base()[8191] = std::byte{42};
  first.reset();
  EXPECT_EQ(second->base()[8191], std::byte{42});
  EXPECT_EQ(table.mapped(), 1u);
  second.reset();
  EXPECT_EQ(table.mapped(), 0u);
}

TEST(Segments, ANewFileOfTheSameNameIsAnotherSegment) {
  SegmentTable table;
  std::string name;
  SegmentPtr old;
  {
    const SharedFile file(4096);
    name = file.name();
    old = table.open(name, 4096).value();
  }
  const int fd = ::shm_open(("/" + name).c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  ASSERT_EQ(::ftruncate(fd, 4096), 0);
  const SegmentPtr fresh = table.open(name, 4096).value();
  EXPECT_NE(old, fresh);
  EXPECT_EQ(table.mapped(), 2u);
  ::close(fd);
  ::shm_unlink(("/" + name).c_str());
}

TEST(Segments, AGrownFileIsMappedAnewWhenMoreIsNeeded) {
  const SharedFile file(4096);
  SegmentTable table;
  SegmentPtr small = table.open(file.name(), 4096).value();
  file.resize(16384);
  EXPECT_EQ(table.open(file.name(), 4096).value(), small);
  const SegmentPtr large = table.open(file.name(), 16384).value();
  EXPECT_EQ(large->bytes(), 16384u);
  EXPECT_EQ(table.mapped(), 2u);
  small.reset();
  EXPECT_EQ(table.mapped(), 1u);
  EXPECT_EQ(table.open(file.name(), 4096).value(), large);
}

TEST(Segments, AShrunkFileIsNotTheOldMapping) {
  const SharedFile file(16384);
  SegmentTable table;
  const SegmentPtr before = table.open(file.name(), 16384).value();
  file.resize(4096);
  EXPECT_THAT(refusal(table, file.name(), 16384), HasSubstr("has 4096 bytes, needed are 16384"));
  const SegmentPtr after = table.open(file.name(), 4096).value();
  EXPECT_NE(before, after);
  EXPECT_EQ(after->bytes(), 4096u);
}

TEST(Segments, OnlyPlainNames) {
  SegmentTable table;
  const std::string_view with_nul("abc\0def", 7);
  for (const std::string_view name :
       {std::string_view(""), std::string_view("/"), std::string_view("."), std::string_view("/.."),
        std::string_view("../etc/passwd"), std::string_view("//name"), std::string_view("a/b"),
        with_nul}) {
    EXPECT_THAT(refusal(table, name), HasSubstr("not a plain name")) << name;
  }
  EXPECT_THAT(refusal(table, std::string(256, 'x')), HasSubstr("not a plain name"));
}

TEST(Segments, WhatCannotBeOpenedIsSaidWithTheCure) {
  SegmentTable table;
  EXPECT_THAT(refusal(table, "lmcache_test_no_such_segment"),
              AllOf(HasSubstr("cannot be opened"), HasSubstr("one IPC namespace")));
  const SharedFile file(4096);
  ASSERT_EQ(::chmod(("/dev/shm/" + file.name()).c_str(), 0), 0);
  const uid_t self = ::geteuid();
  constexpr uid_t kNobody = 65534;  // root may read everything
  ASSERT_EQ(::seteuid(self == 0 ? kNobody : self), 0);
  const std::string text = refusal(table, file.name());
  ASSERT_EQ(::seteuid(self), 0);
  EXPECT_THAT(text, HasSubstr("run server and engine as one user"));
}

TEST(Segments, OnlyRegularFiles) {
  const SharedFile file(4096);
  SegmentTable table;
  const std::string link = "lmcache_test_link_" + std::to_string(::getpid());
  const std::string path = "/dev/shm/" + link;
  ASSERT_EQ(::symlink(("/dev/shm/" + file.name()).c_str(), path.c_str()), 0);
  EXPECT_THAT(refusal(table, link), HasSubstr("cannot be opened"));
  ::unlink(path.c_str());
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(refusal(table, link), HasSubstr("not a regular file"));
  ::unlink(path.c_str());
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  EXPECT_NE(refusal(table, link), "accepted");
  ::rmdir(path.c_str());
}

TEST(Segments, EmptyFilesAreRefused) {
  const SharedFile file(0);
  SegmentTable table;
  EXPECT_THAT(refusal(table, file.name(), 0), HasSubstr("has 0 bytes"));
  EXPECT_EQ(table.mapped(), 0u);
}

TEST(Segments, MayOutliveTheTable) {
  const SharedFile file(4096);
  SegmentPtr segment;
  {
    SegmentTable table;
    segment = table.open(file.name(), 4096).value();
  }
  segment->base()[0] = std::byte{1};
  EXPECT_EQ(segment->base()[0], std::byte{1});
}

Status copy_all(const Segment& segment, std::vector<std::byte>& object, Direction direction,
                CpuCopier& copier) {
  std::promise<Status> result;
  CopyJob job;
  job.direction = direction;
  test::give_slices(job, {{copy::Run{segment.base(), object.data(), nullptr, object.size()}}});
  job.done = [&](Status status) { result.set_value(std::move(status)); };
  copier.submit(std::move(job));
  return result.get_future().get();
}

TEST(ShrunkSegment, FailsTheCopyAndNothingElse) {
  constexpr std::uint64_t kBytes = 1u << 20;
  SegmentTable table;
  CpuCopier copier(2);
  const SharedFile file(kBytes);
  const SharedFile healthy(kBytes);
  const SegmentPtr shrunk = table.open(file.name(), kBytes).value();
  const SegmentPtr whole = table.open(healthy.name(), kBytes).value();
  file.resize(4096);
  std::vector<std::byte> object(kBytes, std::byte{7});
  for (int round = 0; round < 20; ++round) {
    for (const Direction direction : {Direction::kStore, Direction::kRetrieve}) {
      const Status failed = copy_all(*shrunk, object, direction, copier);
      ASSERT_FALSE(failed);
      EXPECT_EQ(failed.error().cause, Cause::kCopyFailed);
      EXPECT_TRUE(copy_all(*whole, object, direction, copier));
    }
  }
  EXPECT_EQ(copier.stats().failed_jobs, 40u);
}

#ifndef LMCACHE_SANITIZED
TEST(ShrunkSegmentDeathTest, ABusErrorElsewhereIsStillACrash) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        SegmentTable table;
        CpuCopier copier(1);
        const SharedFile file(8192);
        const SegmentPtr segment = table.open(file.name(), 8192).value();
        file.resize(4096);
        segment->base()[4096] = std::byte{1};
        std::exit(0);
      },
      ::testing::KilledBySignal(SIGBUS), "");
  EXPECT_EXIT(
      {
        const CpuCopier copier(1);
        ::raise(SIGBUS);
        std::exit(0);
      },
      ::testing::KilledBySignal(SIGBUS), "");
}
#endif

}  // namespace
}  // namespace lmcache::copy
