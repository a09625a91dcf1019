#include "gpu/gate.hpp"

#include "gpu/cuda.hpp"

#include <algorithm>
#include <atomic>

namespace lmcache::gpu {

Gate::~Gate() {
  if (word_ != nullptr && cudaFreeHost(word_) != cudaSuccess) static_cast<void>(cudaGetLastError());
}

Status Gate::make() {
  void* word = nullptr;
  const cudaError_t error =
      cudaHostAlloc(&word, sizeof *word_, cudaHostAllocMapped | cudaHostAllocPortable);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return cuda_error(Cause::kNoMemory, "a word of pinned memory", error);
  }
  word_ = static_cast<std::uint64_t*>(word);
  *word_ = 0;
  return {};
}

Result<std::uint64_t> Gate::close(cudaStream_t stream) {
  const auto functions = driver();
  if (!functions) return functions.error();
  const CUresult error = (*functions)
                             ->stream_wait_value64(stream, reinterpret_cast<CUdeviceptr>(word_),
                                                   closed_ + 1, CU_STREAM_WAIT_VALUE_GEQ);
  if (error != CUDA_SUCCESS) return cuda_error(Cause::kCopyFailed, "waiting for the engine", error);
  return ++closed_;
}

void Gate::open(std::uint64_t number) noexcept {
  const std::atomic_ref word(*word_);
  word.store(std::max(number, word.load(std::memory_order_relaxed)), std::memory_order_release);
}

void Gate::open_all() noexcept {
  open(UINT64_MAX);
}

}  // namespace lmcache::gpu
