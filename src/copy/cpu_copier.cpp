#include "copy/cpu_copier.hpp"

#include "copy/guarded.hpp"
#include "copy/pieces.hpp"
#include "obs/pulse.hpp"

#include <pthread.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace lmcache::copy {
namespace {

using Clock = std::chrono::steady_clock;

struct ActiveJob {
  explicit ActiveJob(CopyJob submitted)
      : job(std::move(submitted)), cutter(job.slices), next(cutter.next()) {}

  CopyJob job;
  PieceCutter cutter;
  std::optional<Piece> next;  ///< the piece to be taken; nullopt: all are taken
  unsigned running = 0;       ///< pieces being executed
  bool begun = false;
  bool failed = false;
};

}  // namespace

// A job is in the ring while pieces are left to take. Whoever takes one puts the job back at the
// end before executing, so several workers may serve one job and none serves only one. A job ends
// with its last running piece.
struct CpuCopier::Impl {
  explicit Impl(unsigned threads) {
    install_bus_guard();
    workers.reserve(threads);
    for (unsigned i = 0; i < threads; ++i) workers.emplace_back([this, i] { work(i); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  void submit(CopyJob job) {
    auto active = std::make_shared<ActiveJob>(std::move(job));
    {
      const std::lock_guard lock(mutex);
      ++stats.queued_jobs;
      ring.push_back(std::move(active));
    }
    wake.notify_one();
  }

  void work(unsigned index) {
    pthread_setname_np(pthread_self(), "lmcache-copy");
    obs::Pulse pulse("copy thread " + std::to_string(index));
    std::unique_lock lock(mutex);
    for (;;) {
      pulse.beat();
      if (!wake.wait_for(lock, obs::Pulse::kInterval, [this] { return stopping || !ring.empty(); }))
        continue;
      if (ring.empty()) return;
      const std::shared_ptr<ActiveJob> active = std::move(ring.front());
      ring.pop_front();
      if (!active->begun && Clock::now() > active->job.start_by) {
        end(*active, Error{Cause::kTimeout, "the copy could not begin in time"}, lock);
        continue;
      }
      active->begun = true;
      if (active->next) execute_next(active, lock);
      if (active->running == 0 && !active->next) finish(*active, lock);
    }
  }

  /// Called with the lock, which is released while bytes move.
  void execute_next(const std::shared_ptr<ActiveJob>& active, std::unique_lock<std::mutex>& lock) {
    const Piece piece = *active->next;
    active->next = active->cutter.next();
    ++active->running;
    if (active->next) {
      ring.push_back(active);
      wake.notify_one();
    }
    const Direction direction = active->job.direction;
    lock.unlock();
    const bool ok = run_guarded(piece, direction);
    const std::uint64_t bytes = ok ? piece.bytes() : 0;
    lock.lock();
    --active->running;
    (direction == Direction::kStore ? stats.stored_bytes : stats.retrieved_bytes) += bytes;
    if (!ok && !active->failed) {
      active->failed = true;
      if (active->next) {
        active->next.reset();
        ring.erase(std::find(ring.begin(), ring.end(), active));
      }
    }
  }

  std::mutex mutex;  ///< guards everything below but the threads; not held while bytes move or a
                     ///< callback runs
  std::condition_variable wake;
  std::deque<std::shared_ptr<ActiveJob>> ring;
  Stats stats;
  bool stopping = false;
  std::vector<std::thread> workers;

  void finish(ActiveJob& active, std::unique_lock<std::mutex>& lock) {
    if (active.failed) {
      end(active, Error{Cause::kCopyFailed, "a page of the engine's memory could not be accessed"},
          lock);
    } else {
      end(active, {}, lock);
    }
  }

  void end(ActiveJob& active, Status status, std::unique_lock<std::mutex>& lock) {
    --stats.queued_jobs;
    if (!status) ++stats.failed_jobs;
    lock.unlock();
    if (active.job.done) active.job.done(std::move(status));
    active.job.done = nullptr;  // what it holds is released now, not when the last worker lets go
    lock.lock();
  }
};

CpuCopier::CpuCopier(unsigned threads) : impl_(std::make_unique<Impl>(std::max(threads, 1u))) {}
CpuCopier::~CpuCopier() = default;

void CpuCopier::submit(CopyJob job) {
  impl_->submit(std::move(job));
}

CpuCopier::Stats CpuCopier::stats() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->stats;
}

}  // namespace lmcache::copy
