// One registration's memory on one GPU: its allocations, and the tables the kernel reads.
#pragma once

#include "gpu/allocation.hpp"
#include "gpu/events.hpp"
#include "gpu/path_choice.hpp"
#include "gpu/rects.hpp"
#include "gpu/transfer.hpp"
#include "page_batch.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <utility>
#include <vector>

namespace lmcache::gpu {

class Device;
class Lane;

/// Allocations and tables are touched on the GPU's thread alone. The destructor may run
/// anywhere and hands them over to it.
class Memory {
 public:
  using Clock = std::chrono::steady_clock;

  struct Contents {
    std::vector<AllocationPtr> allocations;
    Timeline::Opened semaphores;
    std::vector<Event> first_use;  ///< of tensors; those that were over are forgotten
    void* table = nullptr;         ///< device memory: PageGroups and their origins
  };

  Memory(Device& device, std::shared_ptr<Lane> lane) : device_(device), lane_(std::move(lane)) {}
  ~Memory();  // device.cpp
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  [[nodiscard]] Device& device() noexcept { return device_; }
  [[nodiscard]] Lane& lane() noexcept { return *lane_; }
  [[nodiscard]] Contents& contents() noexcept { return contents_; }

  /// Nobody waits for its engine any more from `when` on: what has not started then fails. Any
  /// thread; the earliest counts.
  void give_up(Clock::time_point when) noexcept;
  [[nodiscard]] bool given_up(Clock::time_point now) const noexcept {
    return now >= waited_until_.load();
  }

  /// The tensors may be used: the events that came with them are over. GPU thread.
  [[nodiscard]] bool usable();
  /// Uploads the tables of `geometry` at the first call. GPU thread.
  [[nodiscard]] Status prepare(const Geometry& geometry, const std::vector<std::byte*>& bases);
  [[nodiscard]] const kernels::PageGroup* groups() const noexcept {
    return static_cast<const kernels::PageGroup*>(contents_.table);
  }
  [[nodiscard]] const Origins& origins() const noexcept { return origins_; }
  [[nodiscard]] DirectPlans& direct_plans(copy::Direction direction) noexcept {
    return direct_plans_[direction == copy::Direction::kStore ? 0 : 1];
  }

 private:
  [[nodiscard]] std::uint32_t allocation_of(const std::byte* page) const;

  Device& device_;
  std::shared_ptr<Lane> lane_;
  Contents contents_;
  bool prepared_ = false;
  Origins origins_;
  std::array<DirectPlans, 2> direct_plans_;
  std::atomic<Clock::time_point> waited_until_ = Clock::time_point::max();
};

}  // namespace lmcache::gpu
