// In which order windowed objects go when memory is short.
//
// A windowed object matters only to a hit that ends within its window, so most of what a long
// sequence stores of them is never read again; what a hit needs of the full groups is needed by all
// longer hits too. Hence windowed objects go one chunk's at a time, before anything a prefix needs,
// and those where a hit is least likely to end go first. Rungs, from the first to go:
//
//   interior, level 0, 1, 2 ...   evenly: every second checkpoint of a sequence, of the rest again
//                                 every second, and so on
//   passed                        a lookup ended there once, and the sequence has grown since
//   kept                          the end of a sequence's latest store; where lookups ended twice
//   or
//                                 more (a shared beginning, a document). They go with their chunk,
//                                 in the policy's order, and here only when nothing else can go.
//
// The level of chunk i for windows of w chunks is the greatest k for which a multiple of 2^k lies
// in [i+1, i+w]: the objects that one checkpoint of w chunks needs go together. For w = 1 that is
// the number of trailing zero bits of the length of the hit that ends there.
//
// Within a rung the least recently used goes first. O(1) but for the search over the rungs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "cache/chunk.hpp"
#include "cache/list.hpp"

namespace lmcache::cache {

class Thinner {
 public:
  static constexpr std::uint8_t kLevels = 32;
  /// Rungs are 1..kKept; 0 stands for none.
  static constexpr std::uint8_t kPassed = kLevels + 1, kKept = kLevels + 2;

  [[nodiscard]] static std::uint8_t level(std::uint32_t chunk, std::uint32_t window) noexcept;
  [[nodiscard]] static std::uint8_t interior_rung(std::uint32_t chunk,
                                                  std::uint32_t window) noexcept {
    return static_cast<std::uint8_t>(level(chunk, window) + 1);
  }

  /// As the most recent of its rung.
  void insert(ChunkId id, TenantId tenant, std::uint8_t rung, std::uint64_t bytes);
  void remove(ChunkId id, TenantId tenant, std::uint8_t rung);
  /// The next to go among the rungs up to `last`, and in `rung` where it is.
  [[nodiscard]] std::optional<ChunkId> first(TenantId tenant, std::uint8_t last) const noexcept;
  /// Bytes on the rungs below `rung`.
  [[nodiscard]] std::uint64_t bytes_below(TenantId tenant, std::uint8_t rung) const noexcept;

 private:
  using Rungs = std::array<List<ListNode>, kKept + 1>;
  Paged<ListNode> nodes_;
  std::vector<Rungs> tenants_;
};

}  // namespace lmcache::cache
