// The GPUs of this machine as engines use them. A GPU costs nothing until an engine registers
// memory of it: then it gets a thread, which makes every CUDA call for it, a context and staging
// buffers; they go again with its last engine.
//
// Built without CUDA the same class refuses every registration with that reason.
//
// Threads: any. Nothing here blocks.
#pragma once

#include "gpu/pinned_pool.hpp"
#include "gpu/transfer.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace lmcache::gpu {

struct DeviceOptions {
  std::uint64_t staging_bytes = 128ull << 20;  ///< of one GPU
  unsigned copy_blocks = 16;                   ///< thread blocks of a copy kernel
  std::uint64_t align_bytes = 4096;            ///< of objects in the pool
  bool isolated_ipc = false;  ///< engines share no IPC namespace: timeline semaphores only
  /// How long others wait for a store whose engine's event does not come. Longer than an engine's
  /// step takes, much shorter than a client waits for a reply (300 s).
  std::chrono::milliseconds reader_patience{10'000};
};

class Devices {
 public:
  /// `pool` is L1 (not owned); it is pinned while an engine uses a GPU.
  Devices(const DeviceOptions& options, PinnedPool& pool);
  ~Devices();  ///< stop()
  Devices(const Devices&) = delete;
  Devices& operator=(const Devices&) = delete;

  /// Whether this program can use GPUs at all.
  [[nodiscard]] static bool built() noexcept;

  /// Opens the memory of a registration, all of it on one GPU. `opened` is called once, on the
  /// GPU's thread, the one that finds GPUs or the caller's: kBadSegment with the tensor and the
  /// reason.
  void open(std::vector<wire::Descriptor> tensors,
            std::function<void(Result<OpenedTensors>)> opened);

  /// kBadGeometry if the staging buffers could not take a page of this geometry.
  [[nodiscard]] Status check(const Geometry& geometry) const;

  void submit(Transfer transfer);
  /// This may be submitted within some 100 us.
  void expect(ExpectedTransfer transfer);
  /// The engine has gone, its event may never come: its transfers wait for it no more, and fail.
  void abandon(const MemoryPtr& memory);
  /// The registration has ended, its engine may live: likewise, but in half a second.
  void release(const MemoryPtr& memory);

  /// Copies runs of the registration's pages (Run::page on the GPU) to host memory (Run::object), a
  /// few MiB between two transfers at a time: for diagnostics, not for speed. `done` exactly once.
  void read(MemoryPtr memory, std::vector<copy::Run> runs, std::function<void(Status)> done);

  /// Calls `settled` once no copy into these objects is under way, at once if there is none: false
  /// if one of them failed, or is not `intact`. For who is not on a GPU, or must know.
  void when_settled(std::span<const ObjectRef> objects, const PendingStores::Intact& intact,
                    std::function<void(bool)> settled);

  /// Ends what is under way (at most a few seconds are waited for it) and the threads. What is
  /// submitted later fails.
  void stop();

  [[nodiscard]] std::vector<DeviceStatus> status() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lmcache::gpu
