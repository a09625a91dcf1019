// One GPU in use. Its thread makes every CUDA call for it: opens and closes engines' memory,
// enqueues transfers, sees when they end. A context exists while an engine's memory is open.
//
//   idle --open()--> active --last Memory gone, a moment later--> idle
//   active --sticky error--> lost --last Memory gone--> idle (the context is made anew)
//   active --last Memory gone, L1 is registered here and other GPUs use it--> kept --tidy()--> idle
//
// Threads: any, unless noted.
#pragma once

#include "gpu/busy_time.hpp"
#include "gpu/devices.hpp"
#include "gpu/lane.hpp"
#include "gpu/memory.hpp"
#include "gpu/pool_users.hpp"
#include "gpu/staging.hpp"
#include "gpu/transfer.hpp"
#include "obs/pulse.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lmcache::gpu {

class Device {
 public:
  Device(int ordinal, std::string uuid, const DeviceOptions& options, PendingStores& pending,
         PoolUsers& pool);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  void open(std::vector<wire::Descriptor> tensors,
            std::function<void(Result<OpenedTensors>)> opened);
  void submit(Transfer transfer);
  /// Of a transfer that was not submitted.
  void count_failure();
  /// A transfer may be submitted in a moment: the thread prepares, and stays awake for it.
  void expect(ExpectedTransfer transfer);
  void read(MemoryPtr memory, std::vector<copy::Run> runs, std::function<void(Status)> done);
  /// From ~Memory: to be closed on the GPU's thread.
  void close(Memory::Contents contents, std::shared_ptr<Lane> lane);
  /// Releases a context that was kept for the pool's sake.
  void tidy();
  void stop();
  /// After stop(): gives everything on the GPU back.
  void release() { deactivate(); }
  [[nodiscard]] int ordinal() const noexcept { return ordinal_; }
  [[nodiscard]] DeviceStatus status() const;

 private:
  struct Task;
  void run();
  void post(std::function<void()> task);
  void spin();
  void advance();
  enum class Busy : std::uint8_t { kNo, kYes, kWaiting };
  [[nodiscard]] Busy busy() const;
  /// Of every lane; by index, as a visit may end what keeps a lane.
  template <class Visit>  // (Way&)
  void each_way(Visit visit) const {
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      if (const auto lane = lanes_[i].lock()) lane->each_way(visit);
  }
  Result<OpenedTensors> open_now(const std::vector<wire::Descriptor>& tensors);
  Status open_tensor(const wire::Descriptor& tensor, Memory::Contents& contents,
                     OpenedTensors& opened);
  Status activate();
  Status make_context();
  void deactivate();
  void let_go();
  void release_context();
  void free_retired();
  void open_gates_soon();
  Result<std::shared_ptr<Lane>> take_lane();
  [[nodiscard]] std::shared_ptr<Lane> least_used(bool wide) const;
  void probe();
  void lose(cudaError_t error);

  const int ordinal_;
  const std::string uuid_;
  const DeviceOptions options_;
  PendingStores& pending_;
  PoolUsers& pool_;

  // GPU thread only.
  bool active_ = false, kept_ = false;
  cudaError_t lost_ = cudaSuccess;
  std::uint64_t users_ = 0;  ///< open Memory objects
  std::chrono::steady_clock::time_point expected_until_;
  std::chrono::steady_clock::time_point unused_since_;
  std::unique_ptr<AllocationTable> allocations_;
  std::unique_ptr<EventPool> events_;
  std::unique_ptr<Timeline> timeline_;
  std::unique_ptr<EngineEvents> engine_events_;
  LaneContext context_;
  Staging staging_;
  std::vector<std::weak_ptr<Lane>> lanes_;
  /// What engines that have gone leave. To free it waits for everything on the GPU, so never while
  /// a gate is closed, which only this thread can open; nor does it wait long for the gates.
  struct Retired {
    Memory::Contents contents;
    std::shared_ptr<Lane> lane;
  };
  std::vector<Retired> retired_;
  std::vector<std::shared_ptr<Lane>> failed_lanes_;  ///< made in part, likewise
  BusyTime stores_, retrieves_;                      ///< each direction of the link

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> tasks_;
  std::atomic<bool> due_ = false;  ///< there are tasks, or stopping_
  std::atomic<bool> stopping_ = false;
  std::atomic<unsigned> expectations_ = 0;  ///< among the tasks
  bool stopped_ = false;
  DeviceStatus status_;

  obs::Pulse pulse_;
  std::thread thread_;
};

}  // namespace lmcache::gpu
