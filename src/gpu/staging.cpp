#include "gpu/staging.hpp"

#include "gpu/cuda.hpp"

#include <utility>

namespace lmcache::gpu {

/// One allocation: a pair of berths, or a single one.
struct Berth::Block {
  Block(Staging& owner, unsigned count) : staging(owner), berths(count) {}
  ~Block() {
    if (memory == nullptr) return;
    if (cudaFree(memory) != cudaSuccess) static_cast<void>(cudaGetLastError());
    staging.bytes_ -= bytes();
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  [[nodiscard]] std::uint64_t bytes() const noexcept { return berths * kSlotsPerLane * narrow(); }
  [[nodiscard]] std::uint64_t narrow() const noexcept { return staging.slot_bytes_; }

  Staging& staging;
  const unsigned berths;
  std::byte* memory = nullptr;
};

bool Berth::wide() const noexcept {
  return block_->berths == 2 && block_.use_count() == 1;
}

std::uint64_t Berth::slot_bytes() const noexcept {
  return block_->narrow() * (wide() ? 2 : 1);
}

std::byte* Berth::slot(std::uint64_t number) const noexcept {
  return block_->memory + (number * block_->berths + (wide() ? 0 : index_)) * block_->narrow();
}

Berth Berth::half() const {
  return {block_, 1 - index_};
}

Result<Berth> Staging::take() {
  cudaError_t error = cudaErrorMemoryAllocation;
  for (const unsigned berths : {2u, 1u}) {
    auto block = std::make_shared<Berth::Block>(*this, berths);
    if (bytes_ + block->bytes() > most_) continue;
    error = cudaMalloc(&block->memory, block->bytes());
    if (error == cudaSuccess) {
      bytes_ += block->bytes();
      return Berth(std::move(block), 0);
    }
    block->memory = nullptr;
    static_cast<void>(cudaGetLastError());
  }
  return cuda_error(Cause::kNoMemory, "staging buffers", error);
}

}  // namespace lmcache::gpu
