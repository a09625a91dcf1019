#include "gpu/device.hpp"

#include "geometry/layout.hpp"
#include "gpu/cuda.hpp"
#include "obs/log.hpp"
#include "page_copy.cuh"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace lmcache::gpu {
namespace {

/// How often the ends of copies are looked for; a client does not wait for it, memory and leases
/// do.
constexpr std::chrono::microseconds kLook{100};
constexpr std::chrono::microseconds kLookAtEvents{20};
constexpr std::chrono::seconds kStopPatience{5};

/// A context outlives its last user by this much: an engine that registers anew finds it there.
constexpr std::chrono::seconds kLinger{1};

/// From a request's arrival to its copy: to be decoded and planned takes about as long as to wake a
/// sleeping thread.
constexpr std::chrono::microseconds kExpect{300};
/// Transfers that are expected and not prepared for yet. What a peer announces may be nonsense that
/// is answered at once: it must not fill the queue, nor keep others' transfers waiting in it.
constexpr unsigned kExpectationsMost = 4;

/// Read for diagnostics between two looks at the transfers: a few milliseconds.
constexpr std::uint64_t kReadAtOnce = 4ull << 20;

}  // namespace

Device::Device(int ordinal, std::string uuid, const DeviceOptions& options, PendingStores& pending,
               PoolUsers& pool)
    : ordinal_(ordinal),
      uuid_(std::move(uuid)),
      options_(options),
      pending_(pending),
      pool_(pool),
      staging_(options.staging_bytes),
      pulse_("GPU " + uuid_) {
  status_.uuid = uuid_;
  thread_ = std::thread([this] { run(); });
}

Device::~Device() {
  stop();
  deactivate();
}

void Device::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_) {
      tasks_.push_back(std::move(task));
      due_ = true;
      wake_.notify_one();
      return;
    }
  }
  task();  // nobody else makes CUDA calls any more
}

void Device::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    pulse_.beat();
    due_ = stopping_.load();
    while (!tasks_.empty()) {
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      task = nullptr;
      advance();
      lock.lock();
    }
    if (stopping_) break;
    lock.unlock();
    advance();
    const Busy more = busy();
    spin();
    lock.lock();
    const auto awake = [&] { return due_.load(); };
    if (more != Busy::kNo) {
      wake_.wait_for(lock, more == Busy::kWaiting ? kLookAtEvents : kLook, awake);
    } else if (active_ && users_ == 0) {
      const auto until = unused_since_ + kLinger;
      if (!wake_.wait_for(lock, obs::Pulse::kInterval, awake) &&
          std::chrono::steady_clock::now() >= until) {
        lock.unlock();
        deactivate();
        lock.lock();
      }
    } else {
      wake_.wait_for(lock, obs::Pulse::kInterval, awake);
    }
  }
  lock.unlock();
  context_.stopping = true;
  const auto deadline = std::chrono::steady_clock::now() + kStopPatience;
  while (busy() != Busy::kNo && std::chrono::steady_clock::now() < deadline) {
    advance();
    std::this_thread::sleep_for(kLook);
  }
  each_way([](Way& way) { way.fail_all({Cause::kStopping, "the server is stopping"}); });
  free_retired();
}

/// While a transfer is expected.
void Device::spin() {
  while (!due_ && std::chrono::steady_clock::now() < expected_until_) std::this_thread::yield();
}

void Device::expect(ExpectedTransfer transfer) {
  if (expectations_ >= kExpectationsMost) return;
  ++expectations_;
  post([this, expected = std::move(transfer)] {
    --expectations_;
    if (stopping_ || !active_ || lost_ != cudaSuccess) return;
    expected_until_ = std::chrono::steady_clock::now() + kExpect;
    events_->prepare();
    if (engine_events_->expect(expected.event))
      expected.memory->lane().way(expected.direction).expect(expected.bytes);
  });
}

void Device::read(MemoryPtr memory, std::vector<copy::Run> runs, std::function<void(Status)> done) {
  post(
      [this, memory = std::move(memory), runs = std::move(runs), done = std::move(done)]() mutable {
        if (stopping_) return done(Error{Cause::kStopping, "the server is stopping"});
        cudaError_t error = lost_;
        std::uint64_t bytes = 0;
        while (error == cudaSuccess && !runs.empty() && bytes < kReadAtOnce) {
          const copy::Run run = runs.back();
          runs.pop_back();
          error = cudaMemcpy(run.object, run.page, run.bytes, cudaMemcpyDeviceToHost);
          bytes += run.bytes;
        }
        if (error != cudaSuccess) {
          probe();
          return done(cuda_error(Cause::kCopyFailed, "GPU " + uuid_ + ": reading pages", error));
        }
        if (runs.empty()) return done({});
        read(std::move(memory), std::move(runs), std::move(done));
      });
}

void Device::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = due_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  std::deque<std::function<void()>> left;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    left.swap(tasks_);
  }
  for (const auto& task : left) task();
}

Device::Busy Device::busy() const {
  Busy busy = Busy::kNo;
  each_way([&](const Way& way) {
    if (way.awaits_engine()) busy = Busy::kWaiting;
    if (way.size() > 0 && busy == Busy::kNo) busy = Busy::kYes;
  });
  return busy;
}

void Device::advance() {
  std::uint64_t queued = 0;
  bool stores = false, retrieves = false;
  each_way([&](Way& way) {
    if (lost_ == cudaSuccess) {
      const cudaError_t error = way.advance();
      if (error != cudaSuccess) lose(error);
    }
    if (lost_ != cudaSuccess)
      way.fail_all(cuda_error(Cause::kCopyFailed, "GPU " + uuid_ + " is lost", lost_));
    queued += way.size();
    (way.direction() == copy::Direction::kStore ? stores : retrieves) |= way.moving();
  });
  free_retired();
  if (active_) engine_events_->forget_late();
  const auto now = std::chrono::steady_clock::now();
  stores_.look(stores, now);
  retrieves_.look(retrieves, now);
  const std::lock_guard lock(mutex_);
  status_.store_busy_seconds = stores_.seconds();
  status_.retrieve_busy_seconds = retrieves_.seconds();
  status_.queued_transfers = queued;
  status_.direct_transfers = context_.direct_transfers;
}

void Device::lose(cudaError_t error) {
  lost_ = error;
  const std::string text =
      std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
  obs::log_event(obs::Level::kError,
                 "a GPU is lost: its engines' requests fail until they are restarted (all engines "
                 "on GPUs, where L1 is registered in its context); others go on",
                 {{"gpu", uuid_}, {"reason", text}});
  const std::lock_guard lock(mutex_);
  status_.error = text;
}

/// After a call has failed: if it was not that call alone, no other will succeed.
void Device::probe() {
  if (!active_ || lost_ != cudaSuccess) return;
  if (const cudaError_t error = context_error(); error != cudaSuccess) lose(error);
}

Status Device::activate() {
  if (active_) return {};
  if (Status made = make_context(); !made) {
    let_go();
    if (!kept_) release_context();
    return made;
  }
  active_ = true;
  context_.copy_blocks = options_.copy_blocks;
  context_.align_bytes = options_.align_bytes;
  context_.pool = &pool_.pool();
  context_.events = events_.get();
  context_.engine_events = engine_events_.get();
  context_.timeline = timeline_.get();
  context_.pending = &pending_;
  context_.reader_patience = options_.reader_patience;
  pool_.enter(ordinal_);
  obs::log_event(obs::Level::kInfo, "GPU in use", {{"gpu", uuid_}});
  return {};
}

Status Device::make_context() {
  cudaError_t error = cudaSetDevice(ordinal_);
  if (error == cudaSuccess) error = cudaFree(nullptr);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return cuda_error(Cause::kBadSegment, "GPU " + uuid_, error);
  }
  allocations_ = std::make_unique<AllocationTable>();
  events_ = std::make_unique<EventPool>();
  timeline_ = std::make_unique<Timeline>(*allocations_);
  if (Status loaded = check(kernels::load_page_copy(), "loading the kernels"); !loaded)
    return loaded;
  if (Status made = timeline_->make(); !made) return made;
  engine_events_ = std::make_unique<EngineEvents>(*timeline_, options_.isolated_ipc);
  return {};
}

void Device::deactivate() {
  if (!active_ || users_ > 0) return;
  static_cast<void>(cudaSetDevice(ordinal_));  // ~Device may run on any thread
  let_go();
  active_ = false;
  if (pool_.leave(ordinal_, [this] { pulse_.beat(); })) {
    release_context();
  } else {
    kept_ = true;
  }
}

/// Everything of ours in the context but the pool.
void Device::let_go() {
  lanes_.clear();
  failed_lanes_.clear();
  engine_events_.reset();
  timeline_.reset();
  events_.reset();
  allocations_.reset();
}

void Device::release_context() {
  kept_ = false;
  static_cast<void>(cudaSetDevice(ordinal_));  // unpinning may have changed it
  const cudaError_t error = cudaDeviceReset();
  static_cast<void>(cudaGetLastError());
  lost_ = cudaSuccess;
  obs::log_event(obs::Level::kInfo, "GPU released",
                 {{"gpu", uuid_}, {"reset", cudaGetErrorName(error)}});
  const std::lock_guard lock(mutex_);
  status_.error.clear();
}

void Device::tidy() {
  post([this] {
    if (kept_ && !active_) release_context();
  });
}

void Device::count_failure() {
  const std::lock_guard lock(mutex_);
  ++status_.failed_transfers;
}

void Device::submit(Transfer transfer) {
  auto held = std::make_shared<Transfer>(std::move(transfer));
  post([this, held] {
    // Counted when it ends well.
    const bool store = held->direction == copy::Direction::kStore;
    const std::uint64_t bytes = object_bytes(held->objects);
    held->done = [this, store, bytes, done = std::move(held->done)](const Status& status) {
      {
        const std::lock_guard lock(mutex_);
        if (!status) {
          ++status_.failed_transfers;
        } else {
          (store ? status_.stored_bytes : status_.retrieved_bytes) += bytes;
        }
      }
      done(status);
    };
    if (stopping_) {
      held->queued(Error{Cause::kStopping, "the server is stopping"});
      held->done(Error{Cause::kStopping, "the server is stopping"});
      return;
    }
    Way& way = held->memory->lane().way(held->direction);
    way.submit(std::move(*held));
  });
}

DeviceStatus Device::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace lmcache::gpu
