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

/// The runs of a slice and how far they are taken; kept by those who execute pieces of it.
struct Slice {
  std::vector<Run> runs;
  std::optional<PieceCutter> cutter;
};

struct ActiveJob {
  CopyJob job;
  std::size_t planned = 0;       ///< slices
  std::shared_ptr<Slice> slice;  ///< the one whose pieces are taken
  std::optional<Piece> next;     ///< the piece to be taken; nullopt: another slice, if there is one
  unsigned running = 0;          ///< pieces being executed, and a slice being planned
  bool begun = false;
  Status outcome;  ///< the first thing that went wrong

  [[nodiscard]] bool all_taken() const { return !next && planned == job.slices; }
};

}  // namespace

// A job is in the ring while pieces are left to take. Whoever takes one puts the job back at the
// end before executing, so several workers may serve one job and none serves only one. A job ends
// with its last running piece. Once stopping, what comes out of the ring is dropped.
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
    auto active = std::make_shared<ActiveJob>();
    active->job = std::move(job);
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
      if (stopping) {
        give_up(*active, {Cause::kStopping, "the server is stopping"});
      } else if (!active->begun && Clock::now() > active->job.start_by) {
        give_up(*active, {Cause::kTimeout, "the copy could not begin in time"});
      } else {
        active->begun = true;
        if (!active->next && !active->all_taken()) plan_slice(*active, lock);
        if (active->next) {
          execute_next(active, lock);
        } else if (!active->all_taken()) {
          ring.push_back(active);  // an empty slice
        }
      }
      if (active->running == 0 && active->all_taken()) end(*active, lock);
    }
  }

  /// Called with the lock, which is released meanwhile; the job is not in the ring.
  void plan_slice(ActiveJob& active, std::unique_lock<std::mutex>& lock) {
    const std::size_t number = active.planned++;
    ++active.running;
    lock.unlock();
    auto slice = std::make_shared<Slice>();
    bool ok = true;
    try {
      active.job.plan(number, slice->runs);
    } catch (const std::exception&) {
      ok = false;
    }
    lock.lock();
    --active.running;
    if (!ok) return give_up(active, {Cause::kNoMemory, "there is no memory to plan the copy"});
    if (!active.outcome) return;  // given up meanwhile
    slice->cutter.emplace(slice->runs);
    active.next = slice->cutter->next();
    active.slice = std::move(slice);
  }

  /// Called with the lock, which is released while bytes move.
  void execute_next(const std::shared_ptr<ActiveJob>& active, std::unique_lock<std::mutex>& lock) {
    const Piece piece = *active->next;
    const std::shared_ptr<Slice> slice = active->slice;  // has what the piece points to
    active->next = slice->cutter->next();
    ++active->running;
    if (!active->all_taken()) {
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
    if (!ok) {
      std::erase(ring, active);  // unless it is being planned, or all of it is taken
      give_up(*active, {Cause::kCopyFailed, "a page of the engine's memory could not be accessed"});
    }
  }

  /// Leaves out the pieces that no worker has taken. The job is not in the ring.
  static void give_up(ActiveJob& active, Error why) {
    active.next.reset();
    active.planned = active.job.slices;
    if (active.outcome) active.outcome = std::move(why);
  }

  std::mutex mutex;  ///< guards everything below but the threads; not held while bytes move or a
                     ///< callback runs
  std::condition_variable wake;
  std::deque<std::shared_ptr<ActiveJob>> ring;
  Stats stats;
  bool stopping = false;
  std::vector<std::thread> workers;

  void end(ActiveJob& active, std::unique_lock<std::mutex>& lock) {
    --stats.queued_jobs;
    if (!active.outcome) ++stats.failed_jobs;
    lock.unlock();
    if (active.job.done) active.job.done(std::move(active.outcome));
    // What they hold is released now, not when the last worker lets go.
    active.job.done = nullptr;
    active.job.plan = nullptr;
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
