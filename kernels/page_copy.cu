#include "page_copy.cuh"

#include "tuning.hpp"

namespace lmcache::kernels {
namespace {

template <class Word>
__device__ void copy_words(std::byte* to, const std::byte* from, std::uint32_t bytes) {
  const std::uint32_t words = bytes / sizeof(Word);
  const Word* __restrict__ in = reinterpret_cast<const Word*>(from);
  Word* __restrict__ out = reinterpret_cast<Word*>(to);
  // All loads of a round are on their way before the first store: few thread blocks have to hide
  // HBM's latency.
  for (std::uint32_t first = threadIdx.x; first < words; first += kLoads * blockDim.x) {
    Word word[kLoads];
#pragma unroll
    for (std::uint32_t k = 0; k < kLoads; ++k)
      if (first + k * blockDim.x < words) word[k] = in[first + k * blockDim.x];
#pragma unroll
    for (std::uint32_t k = 0; k < kLoads; ++k)
      if (first + k * blockDim.x < words) out[first + k * blockDim.x] = word[k];
  }
}

/// One run by the whole thread block, in the widest words that both ends and the length allow.
__device__ void copy_run(std::byte* to, const std::byte* from, std::uint32_t bytes) {
  const std::uint64_t low =
      reinterpret_cast<std::uint64_t>(to) | reinterpret_cast<std::uint64_t>(from) | bytes;
  if ((low & 15) == 0) {
    copy_words<uint4>(to, from, bytes);
  } else if ((low & 7) == 0) {
    copy_words<std::uint64_t>(to, from, bytes);
  } else if ((low & 3) == 0) {
    copy_words<std::uint32_t>(to, from, bytes);
  } else {
    copy_words<std::uint8_t>(to, from, bytes);
  }
}

template <class Word, bool kPack>
__device__ void copy_loop_words(const PageLoop& loop, std::byte* page, std::byte* buffer) {
  const std::uint64_t words = loop.run / sizeof(Word);
  const std::uint64_t total = words * loop.n0 * loop.n1;
  for (std::uint64_t i = threadIdx.x; i < total; i += blockDim.x) {
    const std::uint64_t row = i / words;
    const std::uint64_t outer = row / loop.n1, inner = row % loop.n1, at = i % words * sizeof(Word);
    Word* in_page =
        reinterpret_cast<Word*>(page + loop.page + outer * loop.page0 + inner * loop.page1 + at);
    Word* in_buffer = reinterpret_cast<Word*>(buffer + loop.buffer + outer * loop.buffer0 +
                                              inner * loop.buffer1 + at);
    if constexpr (kPack) {
      *in_buffer = *in_page;
    } else {
      *in_page = *in_buffer;
    }
  }
}

template <bool kPack>
__device__ void copy_loop(const PageLoop& loop, std::byte* page, std::byte* buffer) {
  const std::uint64_t low = reinterpret_cast<std::uint64_t>(page) |
                            reinterpret_cast<std::uint64_t>(buffer) | loop.page | loop.buffer |
                            loop.page0 | loop.page1 | loop.buffer0 | loop.buffer1 | loop.run;
  if ((low & 15) == 0) {
    copy_loop_words<uint4, kPack>(loop, page, buffer);
  } else if ((low & 3) == 0) {
    copy_loop_words<std::uint32_t, kPack>(loop, page, buffer);
  } else {
    copy_loop_words<std::uint8_t, kPack>(loop, page, buffer);
  }
}

template <bool kPack>
__global__ void __launch_bounds__(kThreads) copy_pages(const __grid_constant__ PageBatch batch) {
  // Pieces of all sections are numbered through; each thread block takes every gridDim.x-th.
  std::uint64_t before = 0;
  std::uint64_t piece = blockIdx.x;
  for (std::uint32_t s = 0; s < batch.sections; ++s) {
    const PageSection& section = batch.section[s];
    const PageGroup& group = batch.groups[section.group];
    const std::uint32_t cuts =
        group.loops == 0 ? (group.page_bytes + kPieceBytes - 1) / kPieceBytes : 1;
    const std::uint64_t pieces = std::uint64_t{section.origins} * section.ids * cuts;
    for (; piece < before + pieces; piece += gridDim.x) {
      const std::uint64_t index = (piece - before) / cuts;
      const std::uint32_t id = batch.ids[section.first_id + index % section.ids];
      if (id == kNoBlock) continue;
      std::byte* page =
          reinterpret_cast<std::byte*>(group.origins[section.first_origin + index / section.ids]) +
          id * group.block_stride;
      std::byte* buffer = batch.buffer + section.buffer + index * group.page_bytes;
      if (group.loops == 0) {
        const std::uint32_t at = static_cast<std::uint32_t>((piece - before) % cuts) * kPieceBytes;
        const std::uint32_t bytes = min(kPieceBytes, group.page_bytes - at);
        if constexpr (kPack) {
          copy_run(buffer + at, page + at, bytes);
        } else {
          copy_run(page + at, buffer + at, bytes);
        }
      } else {
        for (std::uint32_t l = 0; l < group.loops; ++l)
          copy_loop<kPack>(group.loop[l], page, buffer);
      }
    }
    before += pieces;
  }
}

__global__ void nothing() {}

}  // namespace

cudaError_t load_page_copy() {
  cudaFuncAttributes attributes;
  for (const void* kernel :
       {reinterpret_cast<const void*>(copy_pages<true>),
        reinterpret_cast<const void*>(copy_pages<false>), reinterpret_cast<const void*>(nothing)}) {
    const cudaError_t error = cudaFuncGetAttributes(&attributes, kernel);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

cudaError_t launch_nothing(cudaStream_t stream) {
  nothing<<<1, 1, 0, stream>>>();
  return cudaGetLastError();
}

cudaError_t launch_page_copy(const PageBatch& batch, PageDirection direction, unsigned blocks,
                             cudaStream_t stream) {
  if (direction == PageDirection::kPack) {
    copy_pages<true><<<blocks, kThreads, 0, stream>>>(batch);
  } else {
    copy_pages<false><<<blocks, kThreads, 0, stream>>>(batch);
  }
  return cudaGetLastError();
}

}  // namespace lmcache::kernels
