// CUDA's errors as ours, and the driver functions that the runtime has no name for. They are looked
// up when first used: the program starts without a driver.
#pragma once

#include <lmcache/status.hpp>

#include <cuda.h>
#include <cuda_runtime.h>

#include <string>

namespace lmcache::gpu {

/// "what: text (name)".
[[nodiscard]] Error cuda_error(Cause cause, const std::string& what, cudaError_t error);
[[nodiscard]] Error cuda_error(Cause cause, const std::string& what, CUresult error);

/// kCopyFailed unless all is well. Takes the error from the runtime, so that it is not met again.
[[nodiscard]] Status check(cudaError_t error, const char* what);

/// After a call has failed: what has spoiled the current context, so that no call can succeed in it
/// any more; cudaSuccess if that was an error of the call alone.
[[nodiscard]] cudaError_t context_error() noexcept;

/// As descriptors spell it: lower-case hex with dashes.
[[nodiscard]] std::string uuid_text(const cudaUUID_t& uuid);

struct DriverFunctions {
  CUresult (*mem_get_address_range)(CUdeviceptr*, std::size_t*, CUdeviceptr) = nullptr;
  CUresult (*stream_wait_value64)(CUstream, CUdeviceptr, cuuint64_t, unsigned) = nullptr;
  CUresult (*stream_write_value64)(CUstream, CUdeviceptr, cuuint64_t, unsigned) = nullptr;
  CUresult (*mem_import)(CUmemGenericAllocationHandle*, void*, CUmemAllocationHandleType) = nullptr;
  CUresult (*mem_reserve)(CUdeviceptr*, std::size_t, std::size_t, CUdeviceptr,
                          unsigned long long) = nullptr;
  CUresult (*mem_map)(CUdeviceptr, std::size_t, std::size_t, CUmemGenericAllocationHandle,
                      unsigned long long) = nullptr;
  CUresult (*mem_set_access)(CUdeviceptr, std::size_t, const CUmemAccessDesc*,
                             std::size_t) = nullptr;
  CUresult (*mem_unmap)(CUdeviceptr, std::size_t) = nullptr;
  CUresult (*mem_address_free)(CUdeviceptr, std::size_t) = nullptr;
  CUresult (*mem_release)(CUmemGenericAllocationHandle) = nullptr;
};

/// All of them; kBadSegment if there is no driver or it is too old.
[[nodiscard]] Result<const DriverFunctions*> driver();

}  // namespace lmcache::gpu
