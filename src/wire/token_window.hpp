// Many token ids at once. Nearly all take 3 or 5 bytes (16 and 32 bit forms), in no order that a
// processor could guess; a branch per token would go wrong every second time. Here the tags of 64
// bytes are found by comparing all of them, and the steps from token to token are arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace lmcache::wire {

inline constexpr std::size_t kTokenWindow = 64;                     ///< bytes of tags
inline constexpr std::size_t kTokenWindowBytes = kTokenWindow + 8;  ///< that are looked at
inline constexpr std::size_t kTokenWindowMost = 24;  ///< tokens that one window may give

#if defined(__SSE2__)

/// Bit i: is byte i of the window this tag?
inline std::uint64_t tags_equal(const std::byte* data, std::uint8_t tag) noexcept {
  const __m128i wanted = _mm_set1_epi8(static_cast<char>(tag));
  std::uint64_t mask = 0;
  for (unsigned part = 0; part < 4; ++part) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(data + 16 * part));
    const auto equal = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, wanted)));
    mask |= std::uint64_t{equal} << (16 * part);
  }
  return mask;
}

/// Reads pairs of tokens from kTokenWindowBytes bytes until one of a pair has another form, or the
/// window ends. Writes at most kTokenWindowMost, big-endian. Returns their number and adds their
/// bytes to `data`.
inline std::size_t take_token_window(const std::byte*& data, std::uint32_t* out) noexcept {
  constexpr std::uint8_t kUint16 = 0xcd, kUint32 = 0xce;
  std::uint64_t wide = tags_equal(data, kUint32);
  std::uint64_t known = wide | tags_equal(data, kUint16);
  const std::byte* p = data;
  const std::byte* const last = data + kTokenWindow - 6;  // both tags of a pair lie before the end
  std::uint32_t* to = out;
  const auto value = [](const std::byte* token, std::uint64_t is_wide) {
    std::uint32_t loaded = 0;
    std::memcpy(&loaded, token + 1, 4);
    return loaded << (16 * (1 - is_wide));  // two bytes: the lower half of a big-endian word
  };
  while (p <= last) {
    const std::uint64_t first = wide & 1;
    const std::uint64_t step = 3 + 2 * first;
    const std::uint64_t second = wide >> step & 1;
    if ((known & known >> step & 1) == 0) break;
    to[0] = value(p, first);
    to[1] = value(p + step, second);
    to += 2;
    const std::uint64_t both = step + 3 + 2 * second;
    p += both;
    wide >>= both;
    known >>= both;
  }
  data = p;
  return static_cast<std::size_t>(to - out);
}

#else

inline std::size_t take_token_window(const std::byte*&, std::uint32_t*) noexcept {
  return 0;
}

#endif

}  // namespace lmcache::wire
