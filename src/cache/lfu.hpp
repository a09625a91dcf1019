// Least frequently used per byte goes first, with ageing (by bytes: GreedyDual-Size-Frequency,
// Cherkasova 1998), where what a number of uses is worth is learnt rather than assumed.
//
//   priority = age + worth(uses) * mean bytes / bytes, within age+1 .. age+255
//   worth(uses) = 128 * P(uses) / the greatest P
//
// P(uses) is how often chunks used that often were used again, of those that came lately, those
// that came back after eviction included (their names are remembered for as many bytes as the pool
// has); at first that more uses make more. Where all chunks are as likely to come back, as turns of
// a conversation are, every worth is the same and the order that of LRU; where one-off prompts pass
// through, they leave early; where branches of one beginning come and go, the beginning stays.
//
// A chunk that continues a sequence starts with the uses of the chunk before it: what is known of
// the sequence is known of its next turn, and a sequence ages as one. Where sequences part each
// branch starts anew.
//
// Age is the priority of the last whose turn it was, so whoever is not used again is overtaken by
// newcomers after at most 255 steps of it: yesterday's favourites leave. Priorities of what is in
// order lie within a window of 256, a list for each on a ring, a bitmap to find the first that is
// not empty.
#pragma once

#include <array>

#include "cache/ghosts.hpp"
#include "cache/list.hpp"
#include "cache/policy.hpp"

namespace lmcache::cache {

class Lfu final : public Policy {
 public:
  Lfu();
  void admit(ChunkId id, const Identity& identity) override;
  void insert(ChunkId id, std::uint64_t bytes) override;
  void hit(ChunkId id) override;
  void touch(ChunkId id) override;
  void remove(ChunkId id) override;
  void evicted(ChunkId id) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;

 private:
  static constexpr std::size_t kRing = 256;
  static constexpr double kWorthMax = 128;
  static constexpr std::size_t kClasses = 6;  ///< uses 1, 2, 3..4, 5..8, 9..16 and more
  struct Node : ListNode {
    std::uint64_t priority = 0, name = 0;
    std::uint32_t uses = 0;
  };
  struct Class {
    double used = 0, again = 0;
    double worth = 0;
    [[nodiscard]] double likely() const noexcept { return again / used; }
  };
  [[nodiscard]] static std::size_t class_of(std::uint32_t uses) noexcept;
  void count_use(std::uint32_t uses);
  void learn();
  [[nodiscard]] std::uint64_t priority_of(const Node& node) const noexcept;

  Paged<Node> nodes_;
  std::array<List<Node>, kRing> ring_;  ///< by priority modulo kRing
  std::array<std::uint64_t, kRing / 64> filled_{};
  std::uint64_t age_ = 0, bytes_ = 0, count_ = 0;  ///< the last two: of what is in order
  std::uint32_t uses_until_learning_ = 0;
  std::array<Class, kClasses> classes_;
  std::array<Ghosts, kClasses> ghosts_;  ///< by the class they were evicted from
};

}  // namespace lmcache::cache
