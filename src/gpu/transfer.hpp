// What an engine's registration and its transfers look like to the GPU side. No CUDA types, so that
// everything above builds the same with and without CUDA.
#pragma once

#include "copy/plan.hpp"
#include "gpu/pending.hpp"
#include "wire/descriptors.hpp"
#include "wire/message.hpp"

#include <lmcache/cache.hpp>
#include <lmcache/geometry.hpp>
#include <lmcache/status.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::gpu {

/// An engine's allocations on one GPU, opened for one registration; closed with the last user.
class Memory;
using MemoryPtr = std::shared_ptr<Memory>;

struct OpenedTensors {
  MemoryPtr memory;
  std::vector<std::byte*> bases;     ///< per tensor, device addresses: where its memory begins
  std::vector<std::uint64_t> bytes;  ///< limit of its view, as the driver measured the allocation
};

struct Transfer {
  copy::Direction direction = copy::Direction::kStore;
  MemoryPtr memory;
  std::shared_ptr<const Geometry> geometry;
  std::vector<std::byte*> bases;  ///< as OpenedTensors gave them
  std::vector<ObjectRef> objects;
  std::uint32_t first_chunk = 0;  ///< ObjectRef::chunk of the range's first chunk
  copy::BlockIdLists ids;         ///< checked
  std::int64_t null_id = 0;
  std::uint64_t skip_tokens = 0;
  wire::Bytes event;             ///< the engine's, to be waited for on the device
  PendingStores::Intact intact;  ///< of a retrieve; asked by Devices::submit
  std::vector<FencePtr> needs;   ///< likewise, found by it: stores under way that it reads from
  std::chrono::steady_clock::time_point start_by = std::chrono::steady_clock::time_point::max();
  /// Exactly once: the event that tells the engine when the copy has ended, or why there is none.
  /// For a store, whoever reads its objects from now on waits for its copy.
  std::function<void(Result<wire::Bytes>)> queued;
  /// Exactly once, after `queued`: neither pages nor objects are touched any more.
  std::function<void(Status)> done;
};
// Both callbacks run on the GPU's thread, or the caller's of Devices::submit, without a lock held,
// and must neither block nor throw.

/// What is known of a transfer before it can be submitted.
struct ExpectedTransfer {
  copy::Direction direction = copy::Direction::kStore;
  MemoryPtr memory;
  wire::Bytes event;
  std::uint64_t bytes = 0;  ///< at most
};

/// Logical bytes of all of them.
[[nodiscard]] inline std::uint64_t object_bytes(std::span<const ObjectRef> objects) noexcept {
  std::uint64_t bytes = 0;
  for (const ObjectRef& object : objects) bytes += object.bytes;
  return bytes;
}

/// An event handle that names nothing to wait for: empty, or the fixed text of a CPU worker.
[[nodiscard]] inline bool names_no_event(wire::ByteView event) noexcept {
  constexpr std::string_view kCpuEvent = "stub_ipc_handle";
  return event.empty() ||
         std::string_view(reinterpret_cast<const char*>(event.data()), event.size()) == kCpuEvent;
}

/// One GPU that engines use, as status shows it.
struct DeviceStatus {
  std::string uuid;
  std::string error;  ///< why it is not used any more; empty while all is well
  std::uint64_t workers = 0;
  std::uint64_t staging_bytes = 0;
  std::uint64_t queued_transfers = 0;
  std::uint64_t stored_bytes = 0, retrieved_bytes = 0;
  /// How long copies of that direction have been under way, to a tenth of a millisecond each.
  double store_busy_seconds = 0, retrieve_busy_seconds = 0;
  std::uint64_t direct_transfers = 0;  ///< moved by the copy engines alone, the GPU being busy
  std::uint64_t failed_transfers = 0;
};

}  // namespace lmcache::gpu
