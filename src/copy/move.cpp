#include "copy/move.hpp"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lmcache::copy {
namespace {

using CopyFunction = void (*)(std::byte* to, const std::byte* from, std::size_t bytes);

// Below this a run is cheaper through the cache: aligning its ends and draining the write buffers
// would dominate.
constexpr std::size_t kStreamMin = 2048;

void copy_plain(std::byte* to, const std::byte* from, std::size_t bytes) {
  std::memcpy(to, from, bytes);
}

#if defined(__x86_64__)

constexpr std::size_t kLine = 64;
constexpr std::size_t kAhead =
    512;  // bytes; the hardware prefetcher stops at each 4 KiB page of the source

/// Copies up to the next line of `to`, so that every streamed store fills a whole line.
std::size_t copy_head(std::byte* to, const std::byte* from) {
  const std::size_t head = (kLine - reinterpret_cast<std::uintptr_t>(to) % kLine) % kLine;
  std::memcpy(to, from, head);
  return head;
}

__attribute__((target("avx512f"))) void copy_avx512(std::byte* to, const std::byte* from,
                                                    std::size_t bytes) {
  std::size_t at = copy_head(to, from);
  for (; at + 4 * kLine <= bytes; at += 4 * kLine) {
    _mm_prefetch(reinterpret_cast<const char*>(from + at) + kAhead, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(from + at) + kAhead + kLine, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(from + at) + kAhead + 2 * kLine, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(from + at) + kAhead + 3 * kLine, _MM_HINT_T0);
    const __m512i a = _mm512_loadu_si512(from + at);
    const __m512i b = _mm512_loadu_si512(from + at + kLine);
    const __m512i c = _mm512_loadu_si512(from + at + 2 * kLine);
    const __m512i d = _mm512_loadu_si512(from + at + 3 * kLine);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at), a);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at + kLine), b);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at + 2 * kLine), c);
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to + at + 3 * kLine), d);
  }
  std::memcpy(to + at, from + at, bytes - at);
}

__attribute__((target("avx2"))) void copy_avx2(std::byte* to, const std::byte* from,
                                               std::size_t bytes) {
  std::size_t at = copy_head(to, from);
  for (; at + 2 * kLine <= bytes; at += 2 * kLine) {
    _mm_prefetch(reinterpret_cast<const char*>(from + at) + kAhead, _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(from + at) + kAhead + kLine, _MM_HINT_T0);
    const auto* source = reinterpret_cast<const __m256i*>(from + at);
    auto* target = reinterpret_cast<__m256i*>(to + at);
    const __m256i a = _mm256_loadu_si256(source);
    const __m256i b = _mm256_loadu_si256(source + 1);
    const __m256i c = _mm256_loadu_si256(source + 2);
    const __m256i d = _mm256_loadu_si256(source + 3);
    _mm256_stream_si256(target, a);
    _mm256_stream_si256(target + 1, b);
    _mm256_stream_si256(target + 2, c);
    _mm256_stream_si256(target + 3, d);
  }
  std::memcpy(to + at, from + at, bytes - at);
}

CopyFunction pick_stream() {
  if (__builtin_cpu_supports("avx512f")) return copy_avx512;
  if (__builtin_cpu_supports("avx2")) return copy_avx2;
  return copy_plain;
}

#else

CopyFunction pick_stream() {
  return copy_plain;
}

#endif

const CopyFunction kStream = pick_stream();

/// The two nested loops of a shape with a size the compiler knows, so that a row is a few registers
/// instead of a call.
template <std::size_t kBytes>
void move_rows(std::byte* to, const std::byte* from, const PagePart& shape, bool store) {
  for (std::uint64_t i = 0; i < shape.n0; ++i) {
    for (std::uint64_t j = 0; j < shape.n1; ++j) {
      const std::uint64_t page = i * shape.page0 + j * shape.page1;
      const std::uint64_t object = i * shape.object0 + j * shape.object1;
      std::memcpy(to + (store ? object : page), from + (store ? page : object), kBytes);
    }
  }
}

void move_any_rows(std::byte* to, const std::byte* from, const PagePart& shape, bool store) {
  const CopyFunction copy = shape.run >= kStreamMin ? kStream : copy_plain;
  for (std::uint64_t i = 0; i < shape.n0; ++i) {
    for (std::uint64_t j = 0; j < shape.n1; ++j) {
      const std::uint64_t page = i * shape.page0 + j * shape.page1;
      const std::uint64_t object = i * shape.object0 + j * shape.object1;
      copy(to + (store ? object : page), from + (store ? page : object), shape.run);
    }
  }
}

}  // namespace

void move_run(const Run& run, Direction direction) noexcept {
  const bool store = direction == Direction::kStore;
  if (run.shape == nullptr) {
    const CopyFunction copy = run.bytes >= kStreamMin ? kStream : copy_plain;
    copy(store ? run.object : run.page, store ? run.page : run.object, run.bytes);
    return;
  }
  const PagePart& shape = *run.shape;
  std::byte* page = run.page + shape.page;
  std::byte* object = run.object + shape.object;
  std::byte* to = store ? object : page;
  const std::byte* from = store ? page : object;
  switch (shape.run) {
    case 4:
      return move_rows<4>(to, from, shape, store);
    case 64:
      return move_rows<64>(to, from, shape, store);
    case 128:
      return move_rows<128>(to, from, shape, store);
    case 256:
      return move_rows<256>(to, from, shape, store);
    case 512:
      return move_rows<512>(to, from, shape, store);
    default:
      return move_any_rows(to, from, shape, store);
  }
}

void finish_moves() noexcept {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

}  // namespace lmcache::copy
