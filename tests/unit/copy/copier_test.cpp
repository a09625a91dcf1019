// Threads and turns. The single worker is held inside a callback while jobs are queued, so the
// order is certain without waiting for time to pass.
#include "copy/cpu_copier.hpp"
#include "copy/pieces.hpp"

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
  for (std::size_t i = 0; i < slices; ++i) {
    job.slices.push_back(
        {copy::Run{from.data() + i * bytes, to.data() + i * bytes, nullptr, bytes}});
  }
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
  job.slices.resize(3);
  job.done = [&](Status status) { done.set_value(std::move(status)); };
  copier.submit(std::move(job));
  EXPECT_TRUE(done.get_future().get());
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

TEST(Jobs, TheDestructorFinishesWhatWasSubmitted) {
  std::atomic<int> done = 0;
  Bytes from(1u << 20, std::byte{3}), to(1u << 20);
  {
    CpuCopier copier(3);
    for (int i = 0; i < 50; ++i) {
      CopyJob job = job_of(from, to, 1);
      job.slices[0][0].object += static_cast<std::size_t>(i) * 1000;
      job.slices[0][0].bytes = 1000;
      job.done = [&](const Status& status) { done += status ? 1 : 0; };
      copier.submit(std::move(job));
    }
  }
  EXPECT_EQ(done, 50);
  EXPECT_TRUE(std::equal(from.begin(), from.begin() + 50000, to.begin()));
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
  std::atomic<int> calls = 0;
  {
    CpuCopier copier(3);
    std::vector<std::thread> submitters;
    for (std::size_t i = 0; i < 4; ++i) {
      submitters.emplace_back([&, i] {
        CopyJob job = job_of(from[i], to[i], i + 1);
        job.done = [&](const Status& status) { calls += status ? 1 : 100; };
        copier.submit(std::move(job));
      });
    }
    for (std::thread& submitter : submitters) submitter.join();
  }
  EXPECT_EQ(calls, 4);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(from[i] == to[i]);
}

}  // namespace
}  // namespace lmcache::copy
