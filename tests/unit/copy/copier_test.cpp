// Threads and turns. The single worker is held inside a callback while jobs are queued, so the
// order is certain without waiting for time to pass.
#include "copy/cpu_copier.hpp"
#include "copy/pieces.hpp"
#include "support/copy_job.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <numeric>
#include <thread>

namespace lmcache::copy {
namespace {

using Clock = std::chrono::steady_clock;
using Bytes = std::vector<std::byte>;

/// Keeps one worker busy from construction until open().
class Gate {
 public:
  explicit Gate(CpuCopier& copier) {
    CopyJob job;
    job.done = [opened = open_.get_future().share(), this](const Status&) {
      entered_.set_value();
      opened.wait();
    };
    copier.submit(std::move(job));
    entered_.get_future().wait();
  }
  void open() { open_.set_value(); }

 private:
  std::promise<void> open_;
  std::promise<void> entered_;
};

CopyJob job_of(Bytes& from, Bytes& to, std::size_t slices) {
  CopyJob job;
  const std::size_t bytes = from.size() / slices;
  test::Slices all;
  for (std::size_t i = 0; i < slices; ++i)
    all.push_back({copy::Run{from.data() + i * bytes, to.data() + i * bytes, nullptr, bytes}});
  test::give_slices(job, std::move(all));
  return job;
}

/// How much of a job of `slices` equal slices was copied when a small job that came later was done.
std::uint64_t copied_before_the_small_one(std::size_t slices) {
  constexpr std::size_t kLarge = 32u << 20;
  Bytes large(kLarge, std::byte{1}), large_copy(kLarge), small(1000, std::byte{2}),
      small_copy(1000);
  CpuCopier copier(1);
  Gate gate(copier);
  std::promise<void> large_done;
  std::promise<std::uint64_t> small_done;
  CopyJob first = job_of(large, large_copy, slices);
  first.done = [&](const Status& status) {
    EXPECT_TRUE(status);
    large_done.set_value();
  };
  CopyJob second = job_of(small, small_copy, 1);
  second.done = [&](const Status& status) {
    EXPECT_TRUE(status);
    small_done.set_value(copier.stats().stored_bytes);
  };
  copier.submit(std::move(first));
  copier.submit(std::move(second));
  gate.open();
  const std::uint64_t copied = small_done.get_future().get();
  large_done.get_future().wait();
  EXPECT_TRUE(large == large_copy);
  EXPECT_TRUE(small == small_copy);
  return copied;
}

TEST(Turns, ASmallJobWaitsForOnePieceOfALargeOne) {
  EXPECT_LE(copied_before_the_small_one(64), (32u << 20) / 64 + 1000);
}

TEST(Turns, ALargeSliceIsCutAsWell) {
  EXPECT_LE(copied_before_the_small_one(1), kPieceCost + 1000);
}

TEST(StartBy, AJobThatComesTooLateTouchesNothing) {
  Bytes from(100, std::byte{1}), to(100, std::byte{9});
  CpuCopier copier(1);
  Gate gate(copier);
  std::promise<Status> late, timely;
  CopyJob job = job_of(from, to, 1);
  job.start_by = Clock::now() - std::chrono::nanoseconds(1);
  job.done = [&](Status status) { late.set_value(std::move(status)); };
  copier.submit(std::move(job));
  gate.open();
  const Status status = late.get_future().get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::kTimeout);
  EXPECT_EQ(to, Bytes(100, std::byte{9}));
  EXPECT_EQ(copier.stats().failed_jobs, 1u);

  job = job_of(from, to, 1);
  job.start_by = Clock::now() + std::chrono::hours(1);
  job.done = [&](Status result) { timely.set_value(std::move(result)); };
  copier.submit(std::move(job));
  EXPECT_TRUE(timely.get_future().get());
  EXPECT_EQ(to, from);
}

TEST(Jobs, EmptyOnesEndToo) {
  CpuCopier copier(1);
  std::promise<Status> done;
  CopyJob job;
  test::give_slices(job, test::Slices(3));
  job.done = [&](Status status) { done.set_value(std::move(status)); };
  copier.submit(std::move(job));
  EXPECT_TRUE(done.get_future().get());
}

TEST(Jobs, SlicesArePlannedWhenTheirTurnComes) {
  constexpr std::size_t kSlices = 50;
  Bytes from(kSlices * 1000, std::byte{5}), to(from.size());
  CpuCopier copier(2);
  std::vector<std::size_t> planned;  // by one worker at a time
  std::promise<Status> done;
  CopyJob job;
  job.slices = kSlices;
  job.plan = [&](std::size_t slice, std::vector<copy::Run>& runs) {
    // All of a slice is taken before the next is planned; what is being executed lags by little.
    EXPECT_GE(copier.stats().stored_bytes + 3000, planned.size() * 1000);
    planned.push_back(slice);
    runs.push_back({from.data() + slice * 1000, to.data() + slice * 1000, nullptr, 1000});
  };
  job.done = [&](Status status) { done.set_value(std::move(status)); };
  copier.submit(std::move(job));
  EXPECT_TRUE(done.get_future().get());
  EXPECT_EQ(to, from);
  ASSERT_EQ(planned.size(), kSlices);
  for (std::size_t i = 0; i < kSlices; ++i) EXPECT_EQ(planned[i], i);
}

TEST(Jobs, APlanThatThereIsNoMemoryForFailsItsJobOnly) {
  Bytes from(1000, std::byte{5}), to(1000);
  CpuCopier copier(1);
  std::promise<Status> poor, rich;
  CopyJob job;
  job.slices = 2;
  job.plan = [&](std::size_t slice, std::vector<copy::Run>& runs) {
    if (slice == 1) throw std::bad_alloc();
    runs.push_back({from.data(), to.data(), nullptr, 1000});
  };
  job.done = [&](Status status) { poor.set_value(std::move(status)); };
  copier.submit(std::move(job));
  job = job_of(from, to, 1);
  job.done = [&](Status status) { rich.set_value(std::move(status)); };
  copier.submit(std::move(job));
  const Status status = poor.get_future().get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().cause, Cause::kNoMemory);
  EXPECT_TRUE(rich.get_future().get());
}

TEST(Jobs, DirectionAndCounters) {
  Bytes page(5000, std::byte{1}), object(5000, std::byte{2});
  CpuCopier copier(0);  // one thread at least
  for (const Direction direction : {Direction::kRetrieve, Direction::kStore}) {
    std::promise<Status> done;
    CopyJob job = job_of(page, object, 5);
    job.direction = direction;
    job.done = [&](Status status) { done.set_value(std::move(status)); };
    copier.submit(std::move(job));
    EXPECT_TRUE(done.get_future().get());
    EXPECT_EQ(page[4999], std::byte{2});
  }
  EXPECT_EQ(copier.stats().retrieved_bytes, 5000u);
  EXPECT_EQ(copier.stats().stored_bytes, 5000u);
  EXPECT_EQ(copier.stats().queued_jobs, 0u);
}

TEST(Jobs, QueuedOnesAreCounted) {
  CpuCopier copier(1);
  Gate gate(copier);
  std::promise<void> done;
  CopyJob job;
  job.done = [&](const Status&) { done.set_value(); };
  copier.submit(std::move(job));
  EXPECT_EQ(copier.stats().queued_jobs, 1u);
  gate.open();
  done.get_future().wait();
}

// Jobs take turns, so none of them has ended when the destructor comes right after the last.
TEST(Jobs, TheDestructorDropsWhatHasNotBegun) {
  constexpr std::size_t kJobs = 200;
  Bytes from(16u << 20, std::byte{3}), to(16u << 20);
  std::vector<std::atomic<int>> calls(kJobs);
  std::atomic<std::size_t> stopped = 0;
  {
    CpuCopier copier(3);
    for (std::size_t i = 0; i < kJobs; ++i) {
      CopyJob job = job_of(from, to, 4);
      job.done = [&, i](const Status& status) {
        ++calls[i];
        if (!status && status.error().cause == Cause::kStopping) ++stopped;
      };
      copier.submit(std::move(job));
    }
  }
  for (std::size_t i = 0; i < kJobs; ++i) EXPECT_EQ(calls[i], 1) << i;
  EXPECT_GT(stopped, kJobs / 2);
}

TEST(Jobs, SeveralWorkersAndSubmittersMoveEveryByteOnce) {
  constexpr std::size_t kBytes = 12u << 20;
  std::vector<Bytes> from, to;
  for (int i = 0; i < 4; ++i) {
    from.emplace_back(kBytes);
    for (std::size_t k = 0; k < kBytes; k += 97)
      from.back()[k] = static_cast<std::byte>(k + static_cast<std::size_t>(i));
    to.emplace_back(kBytes);
  }
  std::vector<std::promise<Status>> done(4);
  {
    CpuCopier copier(3);
    std::vector<std::thread> submitters;
    for (std::size_t i = 0; i < 4; ++i) {
      submitters.emplace_back([&, i] {
        CopyJob job = job_of(from[i], to[i], i + 1);
        job.done = [&done, i](Status status) { done[i].set_value(std::move(status)); };
        copier.submit(std::move(job));
      });
    }
    for (std::thread& submitter : submitters) submitter.join();
    for (auto& ended : done) EXPECT_TRUE(ended.get_future().get());
  }
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(from[i] == to[i]);
}

}  // namespace
}  // namespace lmcache::copy
