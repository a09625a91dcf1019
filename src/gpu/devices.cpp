#include "gpu/devices.hpp"

#include "geometry/layout.hpp"
#include "gpu/cuda.hpp"
#include "gpu/device.hpp"
#include "gpu/device_finder.hpp"
#include "pool/memory_lock.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

namespace lmcache::gpu {
namespace {

/// Ordinals by UUID. No context is made.
Result<DeviceFinder::Ordinals> find_devices() {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  DeviceFinder::Ordinals found;
  for (int i = 0; error == cudaSuccess && i < count; ++i) {
    cudaDeviceProp properties;
    error = cudaGetDeviceProperties(&properties, i);
    if (error == cudaSuccess) found[uuid_text(properties.uuid)] = i;
  }
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return cuda_error(Cause::kBadSegment, "this server cannot use any GPU", error);
  }
  return found;
}

/// Not every driver counts what it pins towards the memlock limit, so the limit is no more than a
/// hint, and none where it is large enough.
Error not_pinned(std::uint64_t bytes, cudaError_t error) {
  const std::string hint = pool::memlock_hint(bytes);
  return cuda_error(Cause::kNoMemory,
                    "pinning " + std::to_string(bytes) + " bytes" +
                        (hint.empty() ? "" : " (it may be that " + hint + ")"),
                    error);
}

/// Registers L1 in the context of a GPU, for all of them.
PinnedPool::Driver l1_driver(int ordinal) {
  return {[ordinal](std::span<std::byte> part) -> Status {
            cudaError_t error = cudaSetDevice(ordinal);
            if (error == cudaSuccess)
              error = cudaHostRegister(part.data(), part.size(), cudaHostRegisterPortable);
            if (error == cudaSuccess) return {};
            static_cast<void>(cudaGetLastError());
            return not_pinned(part.size(), error);
          },
          [ordinal](std::span<std::byte> part) {
            static_cast<void>(cudaSetDevice(ordinal));
            if (cudaHostUnregister(part.data()) != cudaSuccess)
              static_cast<void>(cudaGetLastError());
          }};
}

}  // namespace

struct Devices::Impl {
  Impl(const DeviceOptions& given, PinnedPool& l1)
      : options(given), pool(l1, l1_driver, [this](int ordinal) { tidy(ordinal); }) {}

  void tidy(int ordinal) const {
    for (Device* device : all())
      if (device->ordinal() == ordinal) device->tidy();
  }

  /// kBadSegment if there is none of that UUID.
  Result<Device*> device(const std::string& uuid, const DeviceFinder::Ordinals& ordinals) {
    const auto ordinal = ordinals.find(uuid);
    if (ordinal == ordinals.end())
      return Error{Cause::kBadSegment,
                   "GPU " + uuid.substr(0, 64) + " is not visible to this server"};
    const std::lock_guard lock(mutex);
    auto& device = devices[uuid];
    if (!device) device = std::make_unique<Device>(ordinal->second, uuid, options, pending, pool);
    return device.get();
  }

  [[nodiscard]] std::vector<Device*> all() const {
    std::vector<Device*> all;
    const std::lock_guard lock(mutex);
    for (const auto& [uuid, device] : devices) all.push_back(device.get());
    return all;
  }

  const DeviceOptions options;
  PoolUsers pool;
  PendingStores pending;

  mutable std::mutex mutex;  // guards the rest; never held across a call of CUDA
  std::map<std::string, std::unique_ptr<Device>> devices;  // they use all of the above
  DeviceFinder finder{find_devices};                       // last: it makes them
};

Devices::Devices(const DeviceOptions& options, PinnedPool& pool)
    : impl_(std::make_unique<Impl>(options, pool)) {}

Devices::~Devices() {
  stop();
  // While all of them are there: the last to let go of the pool tidies up one that went before.
  for (Device* device : impl_->all()) device->release();
}

bool Devices::built() noexcept {
  return true;
}

void Devices::open(std::vector<wire::Descriptor> tensors,
                   std::function<void(Result<OpenedTensors>)> opened) {
  const std::string uuid = tensors.empty() ? std::string() : tensors.front().device_uuid;
  for (const wire::Descriptor& tensor : tensors) {
    if (tensor.device_uuid == uuid) continue;
    opened(Error{Cause::kBadSegment, "the tensors of one registration are on different devices"});
    return;
  }
  impl_->finder.find([impl = impl_.get(), uuid, tensors = std::move(tensors),
                      opened = std::move(opened)](const auto& found) mutable {
    if (!found) return opened(found.error());
    auto device = impl->device(uuid, *found);
    if (!device) return opened(device.error());
    (*device)->open(std::move(tensors), std::move(opened));
  });
}

Status Devices::check(const Geometry& geometry) const {
  for (const KernelGroup& group : geometry.kernel_groups) {
    const std::uint64_t page = geometry::page_bytes(group);
    if (group.num_blocks >= kernels::kNoBlock)
      return Error{Cause::kBadGeometry, "a group of " + std::to_string(group.num_blocks) +
                                            " blocks; ids on a GPU have 32 bits"};
    const std::uint64_t slot = slot_bytes(impl_->options.staging_bytes);
    if (page + 512 <= slot) continue;
    return Error{Cause::kBadGeometry, "a page of " + std::to_string(page) +
                                          " bytes does not fit a staging buffer of " +
                                          std::to_string(slot)};
  }
  return {};
}

void Devices::submit(Transfer transfer) {
  if (transfer.direction == copy::Direction::kRetrieve) {
    auto needs = impl_->pending.find(transfer.objects, std::exchange(transfer.intact, nullptr));
    if (!needs) {
      transfer.memory->device().count_failure();
      transfer.queued(needs.error());
      transfer.done(needs.error());
      return;
    }
    transfer.needs = std::move(*needs);
  }
  Device& device = transfer.memory->device();
  device.submit(std::move(transfer));
}

void Devices::expect(ExpectedTransfer transfer) {
  Device& device = transfer.memory->device();
  device.expect(std::move(transfer));
}

void Devices::abandon(const MemoryPtr& memory) {
  memory->give_up(Memory::Clock::now());  // where a transfer waits its thread looks all the time
}

void Devices::release(const MemoryPtr& memory) {
  memory->give_up(Memory::Clock::now() + kGatePatience);
}

void Devices::read(MemoryPtr memory, std::vector<copy::Run> runs,
                   std::function<void(Status)> done) {
  Device& device = memory->device();
  device.read(std::move(memory), std::move(runs), std::move(done));
}

void Devices::when_settled(std::span<const ObjectRef> objects, const PendingStores::Intact& intact,
                           std::function<void(bool)> settled) {
  impl_->pending.when_settled(objects, intact, std::move(settled));
}

void Devices::stop() {
  impl_->finder.stop();  // before: it may be about to make one
  for (Device* device : impl_->all()) device->stop();
}

std::vector<DeviceStatus> Devices::status() const {
  std::vector<DeviceStatus> status;
  for (const Device* device : impl_->all()) status.push_back(device->status());
  return status;
}

}  // namespace lmcache::gpu
