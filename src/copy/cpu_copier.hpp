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
  std::size_t slices = 0;
  /// Appends the runs of a slice. Called for one after the other, on a worker thread and without a
  /// lock, when its turn has come: all the runs of a large job together would take more memory than
  /// they move. If it throws the job fails with kNoMemory.
  std::function<void(std::size_t slice, std::vector<Run>& runs)> plan;
  /// Not begun by then: fails with kTimeout and touches nothing. A job that has begun is finished,
  /// unless the copier's end comes first.
  std::chrono::steady_clock::time_point start_by = std::chrono::steady_clock::time_point::max();
  /// Called exactly once, on a worker thread, without a lock held, when no worker touches the job's
  /// memory any more. kCopyFailed if a page could not be read or written, kStopping if the copier's
  /// end came before the job's (pieces not begun by then are left out). Must not throw.
  std::function<void(Status)> done;
};

class CpuCopier {
 public:
  explicit CpuCopier(unsigned threads);  ///< 0 counts as 1
  ~CpuCopier();                          ///< waits for pieces begun, drops the others
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
