// Built without CUDA: the same face, and one reason.
#include "gpu/devices.hpp"

namespace lmcache::gpu {

struct Devices::Impl {};

Devices::Devices(const DeviceOptions&, PinnedPool&) {}
Devices::~Devices() = default;

bool Devices::built() noexcept {
  return false;
}

void Devices::open(std::vector<wire::Descriptor>,
                   std::function<void(Result<OpenedTensors>)> opened) {
  opened(Error{Cause::kBadSegment,
               "tensors on a GPU, but this server was built without CUDA: it copies CPU tensors in "
               "shared memory only"});
}

Status Devices::check(const Geometry&) const {
  return {};
}

void Devices::submit(Transfer transfer) {
  const Error error{Cause::kCopyFailed, "this server was built without CUDA"};
  transfer.queued(error);
  transfer.done(error);
}

void Devices::expect(ExpectedTransfer) {}

void Devices::abandon(const MemoryPtr&) {}
void Devices::release(const MemoryPtr&) {}

void Devices::read(MemoryPtr, std::vector<copy::Run>, std::function<void(Status)> done) {
  done(Error{Cause::kCopyFailed, "this server was built without CUDA"});
}

void Devices::when_settled(std::span<const ObjectRef>, const PendingStores::Intact&,
                           std::function<void(bool)> settled) {
  settled(true);
}

void Devices::stop() {}

std::vector<DeviceStatus> Devices::status() const {
  return {};
}

}  // namespace lmcache::gpu
