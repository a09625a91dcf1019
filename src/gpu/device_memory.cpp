// Engines' memory and their lanes: opened with a registration, given back after its last user.
#include "gpu/cuda.hpp"
#include "gpu/device.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace lmcache::gpu {

void Device::open(std::vector<wire::Descriptor> tensors,
                  std::function<void(Result<OpenedTensors>)> opened) {
  post([this, tensors = std::move(tensors), opened = std::move(opened)] {
    Result<OpenedTensors> result = Error{Cause::kNoMemory, "no memory to open tensors"};
    try {
      result = open_now(tensors);
    } catch (const std::bad_alloc&) {  // costs this registration, not the server
    }
    if (!result) probe();
    opened(std::move(result));
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
  OpenedTensors opened;
  opened.memory = std::make_shared<Memory>(*this, *lane);
  ++(*lane)->users;
  ++users_;  // ~Memory takes it back, whatever happens from here on
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
      contents.first_use.emplace_back(event);
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

/// One with staging memory of its own, or with half of what another has that is alone in a pair; if
/// there is neither, another's.
Result<std::shared_ptr<Lane>> Device::take_lane() {
  std::erase_if(lanes_, [](const auto& weak) { return weak.expired(); });
  auto berth = staging_.take();
  std::shared_ptr<Lane> beside;
  if (!berth) {
    beside = least_used(true);
    if (beside) {
      berth = beside->berth().half();
    } else {
      auto shared = least_used(false);
      if (!shared) return berth.error();
      return shared;
    }
  }
  auto lane = std::make_shared<Lane>(context_, std::move(*berth));
  if (Status open = lane->open(beside.get()); !open) {
    failed_lanes_.push_back(std::move(lane));
    return open.error();
  }
  lanes_.push_back(lane);
  // An engine that hangs does not keep what its lane has given up.
  if (beside && beside->gated()) open_gates_soon();
  const std::lock_guard lock(mutex_);
  status_.staging_bytes = staging_.bytes();
  return lane;
}

/// Not behind the gate of an engine that may hang, if that can be had. nullptr: there is none.
std::shared_ptr<Lane> Device::least_used(bool wide) const {
  std::shared_ptr<Lane> best;
  const auto use = [](const Lane& lane) { return std::pair(lane.gated(), lane.users); };
  for (const auto& weak : lanes_) {
    auto lane = weak.lock();
    if (wide && !lane->berth().wide()) continue;
    if (!best || use(*lane) < use(*best)) best = std::move(lane);
  }
  return best;
}

void Device::close(Memory::Contents contents, std::shared_ptr<Lane> lane) {
  auto held = std::make_shared<Retired>(Retired{std::move(contents), std::move(lane)});
  post([this, held] {
    retired_.push_back(std::move(*held));
    free_retired();
  });
}

void Device::open_gates_soon() {
  if (context_.gates_open_by == std::chrono::steady_clock::time_point::max())
    context_.gates_open_by = std::chrono::steady_clock::now() + kGatePatience;
}

void Device::free_retired() {
  if (!active_) return;
  bool gated = false;
  each_way([&](const Way& way) { gated |= way.gated(); });
  const bool any = !retired_.empty() || !failed_lanes_.empty();
  if (gated) {
    if (any) open_gates_soon();
    return;
  }
  context_.gates_open_by = std::chrono::steady_clock::time_point::max();
  failed_lanes_.clear();
  const std::size_t gone = retired_.size();
  for (const Retired& retired : retired_) {
    --retired.lane->users;
    if (retired.contents.table != nullptr && cudaFree(retired.contents.table) != cudaSuccess)
      static_cast<void>(cudaGetLastError());
  }
  retired_.clear();
  allocations_->close_unused();
  if (!any) return;
  users_ -= gone;
  std::erase_if(lanes_, [](const auto& weak) { return weak.expired(); });
  unused_since_ = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  status_.workers -= gone;
  status_.staging_bytes = staging_.bytes();
}

Memory::~Memory() {
  device_.close(std::move(contents_), std::move(lane_));
}

}  // namespace lmcache::gpu
