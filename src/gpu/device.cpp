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

/// Read for diagnostics between two looks at the transfers: a few milliseconds.
constexpr std::uint64_t kReadAtOnce = 4ull << 20;

}  // namespace

Memory::~Memory() {
  device_.close(std::move(contents_), std::move(lane_));
}

Device::Device(int ordinal, std::string uuid, const DeviceOptions& options, PendingStores& pending,
               PoolUsers& pool)
    : ordinal_(ordinal),
      uuid_(std::move(uuid)),
      options_(options),
      pending_(pending),
      pool_(pool),
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
    const auto awake = [&] {
      return due_ || std::chrono::steady_clock::now() < expected_until_.load();
    };
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
  for (const auto& weak : lanes_) {
    const auto lane = weak.lock();
    if (!lane) continue;
    for (const auto direction : {copy::Direction::kStore, copy::Direction::kRetrieve})
      lane->way(direction).abandon(nullptr);
  }
  const auto deadline = std::chrono::steady_clock::now() + kStopPatience;
  while (busy() != Busy::kNo && std::chrono::steady_clock::now() < deadline) {
    advance();
    std::this_thread::sleep_for(kLook);
  }
  for (const auto& weak : lanes_) {
    const auto lane = weak.lock();
    if (!lane) continue;
    for (const auto direction : {copy::Direction::kStore, copy::Direction::kRetrieve})
      lane->way(direction).fail_all({Cause::kStopping, "the server is stopping"});
  }
  free_retired();
}

/// While a transfer is expected.
void Device::spin() {
  while (!due_ && std::chrono::steady_clock::now() < expected_until_.load())
    std::this_thread::yield();
}

void Device::expect() {
  const std::lock_guard lock(mutex_);
  expected_until_ = std::chrono::steady_clock::now() + kExpect;
  wake_.notify_one();
}

void Device::abandon(MemoryPtr memory) {
  post([memory = std::move(memory)] {
    for (const auto direction : {copy::Direction::kStore, copy::Direction::kRetrieve})
      memory->lane().way(direction).abandon(memory.get());
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
          static_cast<void>(cudaGetLastError());
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
  for (const auto& weak : lanes_) {
    const auto lane = weak.lock();
    if (!lane) continue;
    for (const auto direction : {copy::Direction::kStore, copy::Direction::kRetrieve}) {
      const Way& way = lane->way(direction);
      if (way.awaits_engine()) return Busy::kWaiting;
      if (way.size() > 0) busy = Busy::kYes;
    }
  }
  return busy;
}

void Device::advance() {
  std::uint64_t queued = 0;
  bool stores = false, retrieves = false;
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const auto lane = lanes_[i].lock();
    if (!lane) continue;
    for (const auto direction : {copy::Direction::kStore, copy::Direction::kRetrieve}) {
      Way& way = lane->way(direction);
      if (lost_ == cudaSuccess) {
        const cudaError_t error = way.advance();
        if (error != cudaSuccess) lose(error);
      }
      if (lost_ != cudaSuccess)
        way.fail_all(cuda_error(Cause::kCopyFailed, "GPU " + uuid_ + " is lost", lost_));
      queued += way.size();
      (direction == copy::Direction::kStore ? stores : retrieves) |= way.moving();
    }
  }
  free_retired();
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
                 "a GPU is lost: its engines' requests fail until they are restarted; others go on",
                 {{"gpu", uuid_}, {"reason", text}});
  const std::lock_guard lock(mutex_);
  status_.error = text;
}

void Device::open(std::vector<wire::Descriptor> tensors,
                  std::function<void(Result<OpenedTensors>)> opened) {
  post([this, tensors = std::move(tensors), opened = std::move(opened)] {
    opened(open_now(tensors));
  });
}

Result<OpenedTensors> Device::open_now(const std::vector<wire::Descriptor>& tensors) {
  if (stopping_) return Error{Cause::kStopping, "the server is stopping"};
  if (lost_ != cudaSuccess)
    return cuda_error(Cause::kBadSegment, "GPU " + uuid_ + " is lost", lost_);
  if (Status active = activate(); !active) return active.error();
  unused_since_ = std::chrono::steady_clock::now();
  auto lane = take_lane();
  if (!lane) return lane.error();
  ++(*lane)->users;
  ++users_;  // ~Memory takes it back, whatever happens from here on
  OpenedTensors opened;
  opened.memory = std::make_shared<Memory>(*this, std::move(*lane));
  {
    const std::lock_guard lock(mutex_);
    ++status_.workers;
  }
  for (const wire::Descriptor& tensor : tensors)
    if (Status open = open_tensor(tensor, opened.memory->contents(), opened); !open)
      return open.error();
  return opened;
}

Status Device::open_tensor(const wire::Descriptor& tensor, Memory::Contents& contents,
                           OpenedTensors& opened) {
  // (allocation, where the tensor's memory starts in it, how long that is said to be)
  const auto take = [&](Result<AllocationPtr> allocation, std::uint64_t offset,
                        std::uint64_t bytes) -> Status {
    if (!allocation) return allocation.error();
    const std::uint64_t size = (*allocation)->bytes();
    if (offset > size || bytes > size - offset) {
      return Error{Cause::kBadSegment, "a tensor claims bytes " + std::to_string(offset) + "+" +
                                           std::to_string(bytes) + " of CUDA memory of " +
                                           std::to_string(size) + " bytes"};
    }
    opened.bases.push_back((*allocation)->base() + offset);
    opened.bytes.push_back(bytes);
    contents.allocations.push_back(std::move(*allocation));
    return {};
  };
  if (const auto* torch = std::get_if<wire::CudaMemory>(&tensor.memory)) {
    if (torch->empty) {
      opened.bases.push_back(nullptr);
      opened.bytes.push_back(0);
      return {};
    }
    if (torch->event_required) {
      cudaIpcEventHandle_t handle;
      static_assert(sizeof handle == sizeof torch->event);
      std::copy_n(reinterpret_cast<const char*>(torch->event.data()), sizeof handle,
                  handle.reserved);
      cudaEvent_t event = nullptr;
      const cudaError_t error = cudaIpcOpenEventHandle(&event, handle);
      if (error != cudaSuccess) {
        static_cast<void>(cudaGetLastError());
        return cuda_error(Cause::kBadSegment, "a tensor's event handle cannot be opened", error);
      }
      const Event first_use(event);
      for (const auto direction : {copy::Direction::kStore, copy::Direction::kRetrieve})
        if (Status waits = opened.memory->lane().way(direction).wait_for(event); !waits)
          return waits;
    }
    return take(allocations_->open_ipc(torch->handle), torch->storage_offset_bytes,
                torch->storage_bytes);
  }
  if (const auto* raw = std::get_if<wire::CudaRawMemory>(&tensor.memory))
    return take(allocations_->open_ipc(raw->handle), raw->alloc_offset, raw->nbytes);
  if (const auto* vmm = std::get_if<wire::CudaVmmMemory>(&tensor.memory))
    return take(allocations_->open_fabric(*vmm, ordinal_), vmm->alloc_offset, vmm->nbytes);
  return Error{Cause::kBadSegment, "a CPU tensor among tensors on a GPU"};
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
  context_.slot_bytes = slot_bytes(options_.staging_bytes);
  context_.align_bytes = options_.align_bytes;
  context_.pool = &pool_.pool();
  context_.events = events_.get();
  context_.engine_events = engine_events_.get();
  context_.timeline = timeline_.get();
  context_.pending = &pending_;
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
  if (pool_.leave(ordinal_)) {
    release_context();
  } else {
    kept_ = true;
  }
}

/// Everything of ours in the context but the pool.
void Device::let_go() {
  lanes_.clear();
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

Result<std::shared_ptr<Lane>> Device::take_lane() {
  std::erase_if(lanes_, [](const auto& weak) { return weak.expired(); });
  const std::uint64_t allowed = std::max<std::uint64_t>(1, options_.staging_bytes / lane_bytes());
  std::shared_ptr<Lane> lane;
  if (lanes_.size() < allowed) {
    lane = std::make_shared<Lane>(context_);
    for (const auto direction : {copy::Direction::kStore, copy::Direction::kRetrieve})
      if (Status open = lane->way(direction).open(); !open) return open.error();
    lanes_.push_back(lane);
  } else {
    lane = std::ranges::min(lanes_, {}, [](const auto& weak) { return weak.lock()->users; }).lock();
  }
  const std::lock_guard lock(mutex_);
  status_.staging_bytes = lanes_.size() * lane_bytes();
  return lane;
}

void Device::close(Memory::Contents contents, std::shared_ptr<Lane> lane) {
  auto held = std::make_shared<Retired>(std::move(contents), std::move(lane));
  post([this, held] {
    retired_.push_back(std::move(*held));
    free_retired();
  });
}

void Device::free_retired() {
  if (!active_) return;
  for (const auto& weak : lanes_) {
    const auto lane = weak.lock();
    if (lane && (lane->way(copy::Direction::kStore).gated() ||
                 lane->way(copy::Direction::kRetrieve).gated()))
      return;
  }
  allocations_->close_unused();
  if (retired_.empty()) return;
  users_ -= retired_.size();
  const std::size_t gone = retired_.size();
  for (const Retired& retired : retired_) {
    --retired.lane->users;
    if (retired.contents.table != nullptr && cudaFree(retired.contents.table) != cudaSuccess)
      static_cast<void>(cudaGetLastError());
  }
  retired_.clear();
  allocations_->close_unused();
  std::erase_if(lanes_, [](const auto& weak) { return weak.expired(); });
  unused_since_ = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  status_.workers -= gone;
  status_.staging_bytes = lanes_.size() * lane_bytes();
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
