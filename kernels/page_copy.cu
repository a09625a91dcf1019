#include "page_copy.cuh"

#include "tuning.hpp"

namespace lmcache::kernels {
namespace {

/// What a warp copies of a page's payload: cut `index` of `cuts`.
struct Cut {
  std::uint32_t index, cuts, lane;
};

template <class Word>
__device__ void copy_words(std::byte* to, const std::byte* from, std::uint32_t bytes,
                           std::uint32_t lane) {
  const std::uint32_t words = bytes / sizeof(Word);
  const Word* __restrict__ in = reinterpret_cast<const Word*>(from);
  Word* __restrict__ out = reinterpret_cast<Word*>(to);
  // All loads of a round are on their way before the first store: few thread blocks have to hide
  // HBM's latency.
  for (std::uint32_t first = lane; first < words; first += kLoads * kWarp) {
    Word word[kLoads];
#pragma unroll
    for (std::uint32_t k = 0; k < kLoads; ++k)
      if (first + k * kWarp < words) word[k] = in[first + k * kWarp];
#pragma unroll
    for (std::uint32_t k = 0; k < kLoads; ++k)
      if (first + k * kWarp < words) out[first + k * kWarp] = word[k];
  }
}

/// A cut of a page that is one run, in the widest words that both ends and the length allow.
__device__ void copy_run(std::byte* to, const std::byte* from, std::uint32_t page_bytes,
                         const Cut& cut) {
  const std::uint32_t most = ((page_bytes + cut.cuts - 1) / cut.cuts + 15) & ~15u;
  const std::uint32_t at = cut.index * most;
  if (at >= page_bytes) return;
  const std::uint32_t bytes = min(most, page_bytes - at);
  to += at;
  from += at;
  const std::uint64_t low =
      reinterpret_cast<std::uint64_t>(to) | reinterpret_cast<std::uint64_t>(from) | bytes;
  if ((low & 15) == 0) {
    copy_words<uint4>(to, from, bytes, cut.lane);
  } else if ((low & 7) == 0) {
    copy_words<std::uint64_t>(to, from, bytes, cut.lane);
  } else if ((low & 3) == 0) {
    copy_words<std::uint32_t>(to, from, bytes, cut.lane);
  } else {
    copy_words<std::uint8_t>(to, from, bytes, cut.lane);
  }
}

template <class Word, bool kPack>
__device__ void copy_loop_words(const PageLoop& loop, std::byte* page, std::byte* buffer,
                                const Cut& cut) {
  const auto words = static_cast<std::uint32_t>(loop.run / sizeof(Word));
  const std::uint32_t total = words * loop.n0 * loop.n1;
  const std::uint32_t most = (total + cut.cuts - 1) / cut.cuts;
  const std::uint32_t end = min(total, (cut.index + 1) * most);
  for (std::uint32_t first = cut.index * most + cut.lane; first < end; first += kLoads * kWarp) {
    Word word[kLoads];
    Word* out[kLoads];
#pragma unroll
    for (std::uint32_t k = 0; k < kLoads; ++k) {
      const std::uint32_t i = first + k * kWarp;
      if (i >= end) continue;
      const std::uint32_t row = i / words, at = i % words * sizeof(Word);
      const std::uint64_t outer = row / loop.n1, inner = row % loop.n1;
      Word* in_page =
          reinterpret_cast<Word*>(page + loop.page + outer * loop.page0 + inner * loop.page1 + at);
      Word* in_buffer = reinterpret_cast<Word*>(buffer + loop.buffer + outer * loop.buffer0 +
                                                inner * loop.buffer1 + at);
      word[k] = kPack ? *in_page : *in_buffer;
      out[k] = kPack ? in_buffer : in_page;
    }
#pragma unroll
    for (std::uint32_t k = 0; k < kLoads; ++k)
      if (first + k * kWarp < end) *out[k] = word[k];
  }
}

template <bool kPack>
__device__ void copy_loop(const PageLoop& loop, std::byte* page, std::byte* buffer,
                          const Cut& cut) {
  const std::uint64_t low = reinterpret_cast<std::uint64_t>(page) |
                            reinterpret_cast<std::uint64_t>(buffer) | loop.page | loop.buffer |
                            loop.page0 | loop.page1 | loop.buffer0 | loop.buffer1 | loop.run;
  if ((low & 15) == 0) {
    copy_loop_words<uint4, kPack>(loop, page, buffer, cut);
  } else if ((low & 3) == 0) {
    copy_loop_words<std::uint32_t, kPack>(loop, page, buffer, cut);
  } else {
    copy_loop_words<std::uint8_t, kPack>(loop, page, buffer, cut);
  }
}

template <bool kPack>
__global__ void __launch_bounds__(kThreads) copy_pages(const __grid_constant__ PageBatch batch) {
  // Pieces of all sections are numbered through; each warp takes every so many-th.
  constexpr std::uint32_t kWarps = kThreads / kWarp;
  const std::uint32_t lane = threadIdx.x % kWarp;
  std::uint32_t before = 0;
  std::uint32_t piece = blockIdx.x * kWarps + threadIdx.x / kWarp;
  for (std::uint32_t s = 0; s < batch.sections; ++s) {
    const PageSection& section = batch.section[s];
    const PageGroup& group = batch.groups[section.group];
    const std::uint32_t cuts = (group.page_bytes + kPieceBytes - 1) / kPieceBytes;
    const std::uint32_t pieces = section.origins * section.ids * cuts;
    for (; piece < before + pieces; piece += gridDim.x * kWarps) {
      const std::uint32_t index = (piece - before) / cuts;
      const std::uint32_t id = batch.ids[section.first_id + index % section.ids];
      if (id == kNoBlock) continue;
      std::byte* page =
          reinterpret_cast<std::byte*>(group.origins[section.first_origin + index / section.ids]) +
          id * group.block_stride;
      std::byte* buffer = batch.buffer + section.buffer + std::uint64_t{index} * group.page_bytes;
      const Cut cut{(piece - before) % cuts, cuts, lane};
      if (group.loops == 0) {
        kPack ? copy_run(buffer, page, group.page_bytes, cut)
              : copy_run(page, buffer, group.page_bytes, cut);
      } else {
        for (std::uint32_t l = 0; l < group.loops; ++l)
          copy_loop<kPack>(group.loop[l], page, buffer, cut);
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
