// Worker threads that execute runs. Jobs come in slices (one per object), which are cut further
// into pieces of about a millisecond (pieces.hpp); workers take the next piece of each job in turn,
// so a request of gigabytes delays another by one piece, not by itself. All functions may be called
// from any thread, but the destructor not from a `done`.
#pragma once

#include "copy/plan.hpp"

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

namespace lmcache::copy {

struct CopyJob {
  Direction direction = Direction::kStore;
  std::vector<std::vector<Run>> slices;
  /// Not begun by then: fails with kTimeout and touches nothing. A job that has begun is always
  /// finished.
  std::chrono::steady_clock::time_point start_by = std::chrono::steady_clock::time_point::max();
  /// Called exactly once, on a worker thread, without a lock held, when no worker touches the job's
  /// memory any more. kCopyFailed if a page could not be read or written (pieces not begun by then
  /// are left out). Must not throw.
  std::function<void(Status)> done;
};

class CpuCopier {
 public:
  explicit CpuCopier(unsigned threads);  ///< 0 counts as 1
  ~CpuCopier();                          ///< finishes what was submitted
  CpuCopier(const CpuCopier&) = delete;
  CpuCopier& operator=(const CpuCopier&) = delete;
  void submit(CopyJob job);
  struct Stats {
    std::uint64_t queued_jobs = 0;      ///< submitted, `done` not called yet
    std::uint64_t stored_bytes = 0;     ///< pages -> objects, whole pieces
    std::uint64_t retrieved_bytes = 0;  ///< objects -> pages, whole pieces
    std::uint64_t failed_jobs = 0;      ///< ended with an error
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lmcache::copy
