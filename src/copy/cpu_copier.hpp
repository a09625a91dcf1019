// Worker threads that execute runs. Jobs are cut into slices (one per object); workers take the next slice of each job in turn,
// so a request of gigabytes delays another by one slice, not by itself.
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
  std::chrono::steady_clock::time_point start_by;  ///< not begun by then: fails with kTimeout
  /// Called exactly once, on a worker thread, when all slices ended. kCopyFailed if a page could not be read or written.
  std::function<void(Status)> done;
};

class CpuCopier {
 public:
  explicit CpuCopier(unsigned threads);
  ~CpuCopier();  ///< finishes what was submitted
  void submit(CopyJob job);
  struct Stats {
    std::uint64_t queued_jobs = 0, stored_bytes = 0, retrieved_bytes = 0, failed_jobs = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lmcache::copy
