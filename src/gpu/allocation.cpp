#include "gpu/allocation.hpp"

#include "gpu/cuda.hpp"

#include <cstring>

namespace lmcache::gpu {
namespace {

template <class Bytes>
std::string key(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class IpcAllocation final : public Allocation {
 public:
  explicit IpcAllocation(void* base) { base_ = static_cast<std::byte*>(base); }
  ~IpcAllocation() override {
    // Fails where the context has gone before, and the mapping with it.
    if (cudaIpcCloseMemHandle(base_) != cudaSuccess) static_cast<void>(cudaGetLastError());
  }
  /// An allocation's start and size, whatever the exporter claims.
  Status measure() {
    const auto functions = driver();
    if (!functions) return functions.error();
    CUdeviceptr start = 0;
    std::size_t size = 0;
    const CUresult error =
        (*functions)->mem_get_address_range(&start, &size, reinterpret_cast<CUdeviceptr>(base_));
    if (error != CUDA_SUCCESS) return cuda_error(Cause::kBadSegment, "size of CUDA memory", error);
    if (start != reinterpret_cast<CUdeviceptr>(base_))
      return Error{Cause::kBadSegment, "CUDA memory that does not start with its allocation"};
    bytes_ = size;
    return {};
  }
};

class FabricAllocation final : public Allocation {
 public:
  explicit FabricAllocation(const DriverFunctions& functions) : driver_(functions) {}
  ~FabricAllocation() override {
    if (mapped_) driver_.mem_unmap(address_, size_);
    if (address_ != 0) driver_.mem_address_free(address_, size_);
    if (imported_) driver_.mem_release(handle_);
  }

  CUresult open(const wire::CudaVmmMemory& memory, int ordinal) {
    size_ = memory.alloc_bytes;
    std::array<std::byte, 64> blob = memory.fabric;
    CUresult error = driver_.mem_import(&handle_, blob.data(), CU_MEM_HANDLE_TYPE_FABRIC);
    if (error != CUDA_SUCCESS) return error;
    imported_ = true;
    error = driver_.mem_reserve(&address_, size_, 0, 0, 0);
    if (error != CUDA_SUCCESS) return error;
    error = driver_.mem_map(address_, size_, 0, handle_, 0);  // fails if it is not that large
    if (error != CUDA_SUCCESS) return error;
    mapped_ = true;
    CUmemAccessDesc access{};
    access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    access.location.id = ordinal;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    error = driver_.mem_set_access(address_, size_, &access, 1);
    base_ = reinterpret_cast<std::byte*>(address_);
    bytes_ = size_;
    return error;
  }

 private:
  const DriverFunctions& driver_;
  CUmemGenericAllocationHandle handle_ = 0;
  CUdeviceptr address_ = 0;
  std::size_t size_ = 0;
  bool imported_ = false, mapped_ = false;
};

}  // namespace

Result<AllocationPtr> AllocationTable::open_ipc(const std::array<std::byte, 64>& handle) {
  const std::string name = key(handle);
  if (const auto known = known_.find(name); known != known_.end()) return known->second;
  cudaIpcMemHandle_t memory;
  static_assert(sizeof memory == sizeof handle);
  std::memcpy(&memory, handle.data(), sizeof memory);
  void* base = nullptr;
  const cudaError_t error = cudaIpcOpenMemHandle(&base, memory, cudaIpcMemLazyEnablePeerAccess);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return cuda_error(Cause::kBadSegment, "CUDA IPC memory handle cannot be opened", error);
  }
  auto opened = std::make_shared<IpcAllocation>(base);
  if (const Status measured = opened->measure(); !measured) {
    failed_.push_back(std::move(opened));
    return measured.error();
  }
  return known_[name] = std::move(opened);
}

Result<AllocationPtr> AllocationTable::open_fabric(const wire::CudaVmmMemory& memory, int ordinal) {
  // Every tensor comes with an id of its own; the handle is the allocation's.
  const std::string name = "fabric" + key(memory.fabric) + std::to_string(memory.alloc_bytes);
  if (const auto known = known_.find(name); known != known_.end()) return known->second;
  const auto functions = driver();
  if (!functions) return functions.error();
  auto opened = std::make_shared<FabricAllocation>(**functions);
  if (const CUresult error = opened->open(memory, ordinal); error != CUDA_SUCCESS) {
    failed_.push_back(std::move(opened));
    return cuda_error(
        Cause::kBadSegment,
        "fabric memory cannot be imported (has this server the engine's IMEX channel, "
        "/dev/nvidia-caps-imex-channels/channel0?)",
        error);
  }
  return known_[name] = std::move(opened);
}

void AllocationTable::close_unused() {
  failed_.clear();
  std::erase_if(known_, [](const auto& entry) { return entry.second.use_count() == 1; });
}

}  // namespace lmcache::gpu
