// The least likely to be used again soon per byte goes first, where how likely a chunk's class and
// age make it is learnt (reuse_ages.hpp): by Gittins index, a relative of LHD (Beckmann et al.
// 2018), which ranks by hit density to the end of all ages instead of the best moment to stop.
//
// Where half of what comes back does so within seconds and all the rest ever more rarely, that is
// the order of LRU. Where people read and type, nothing comes back for a minute, much in the next,
// and nothing after the longest pause: what has waited longest is then due next and stays, what is
// past its time goes, and if not all can wait that long newcomers go, so that some are kept all the
// way instead of none.
//
// Time is counted in uses: chunks that came in or were hit. Nothing here looks at a clock.
//
// A class is how often a chunk was used (a chunk that continues a sequence starts with the
// sequence's count, a name that comes back goes on with its own; 1, 2, 3..4 and so on), and whether
// it is shared: two different successors were seen behind it or behind one of those. That goes from
// a chunk to the one before it whenever both come in order, the end of a chain first.
//
// What was evicted is remembered by name for as many bytes as four pools have: it ages as what is
// resident does, and counts as used again when it comes back.
//
// In order, chunks are in lists by class, slot of time (age_slots.hpp) and power of two of bytes.
// Slots move from bin to bin of ages, and become one, as a whole. The cells of class and bin are
// ranked by index after each learning, and of each power of two there is a bitmap by rank of the
// cells that may have any; the least of the first ones per byte goes.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "cache/age_slots.hpp"
#include "cache/ghosts.hpp"
#include "cache/list.hpp"
#include "cache/policy.hpp"
#include "cache/reuse_ages.hpp"

namespace lmcache::cache {

class Gittins final : public Policy {
 public:
  Gittins();
  void admit(ChunkId id, const Identity& identity) override;
  void insert(ChunkId id, std::uint64_t bytes) override;
  void hit(ChunkId id) override;
  void touch(ChunkId id) override;
  void remove(ChunkId id) override;
  void evicted(ChunkId id) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;
  /// Chunks whose next use is waited for, and of these evicted ones; for tests.
  [[nodiscard]] std::uint64_t waiting() const noexcept;
  [[nodiscard]] std::size_t remembered() const noexcept { return ghosts_.size(); }

 private:
  static constexpr std::size_t kClasses = ReuseAges::kClasses, kBins = ReuseAges::kBins;
  static constexpr std::size_t kCells = kClasses * kBins;
  /// What is known of a use until the next.
  struct Use {
    std::uint64_t at = 0;
    std::uint32_t uses = 0;       ///< this one included
    std::uint32_t successor = 0;  ///< the last one seen behind it, by a part of its name; 0: none
    std::uint8_t cls = 0;         ///< that it was counted as
    bool shared = false;
  };
  struct Node : ListNode {
    std::uint64_t name = 0;
    Use use;
    ChunkId before = kNoId;  ///< may have gone; a mark that another gets instead does little harm
    bool waits = false;      ///< counted in population_
  };
  /// Those of a power of two of bytes.
  struct OfSize {
    std::array<std::array<List<Node>, kClasses>, AgeSlots::kMost> lists;  ///< by row of a slot
    std::array<std::uint16_t, AgeSlots::kMost> classes{};   ///< of each row, that may have any
    std::array<std::uint64_t, (kCells + 63) / 64> cells{};  ///< by rank, that may have any
  };
  struct Candidate {
    ChunkId id = kNoId;
    double worth = 0;  ///< index per byte
  };
  using Past = GhostsWith<Use>;

  void tick();
  void advance();
  void learn();
  void refill(OfSize& of_size);
  void merge(AgeSlots::Row into, AgeSlots::Row from);
  [[nodiscard]] static std::uint8_t class_of(const Use& use) noexcept;
  [[nodiscard]] std::uint32_t& population(const Use& use) noexcept;
  void returns(const Use& use);
  void forget(Node& node);
  void see_successor(ChunkId id, std::uint64_t name);
  [[nodiscard]] List<Node>& list(const Node& node);
  void push(ChunkId id);
  [[nodiscard]] Candidate first_of(OfSize& of_size);
  [[nodiscard]] ChunkId oldest(OfSize& of_size, std::size_t cell) const noexcept;

  Paged<Node> nodes_;
  std::uint64_t now_ = 0, advanced_ = 0, bytes_ = 0;  ///< the last: of what is in order
  std::uint32_t uses_until_learning_ = 0;
  AgeSlots slots_;
  ReuseAges ages_;
  /// Known chunks, resident or remembered, by the row and class of their last use.
  std::array<std::array<std::uint32_t, kClasses>, AgeSlots::kMost> population_{};
  std::array<std::uint16_t, kCells> rank_{}, ranked_{};  ///< of a cell, and the other way round
  std::array<std::unique_ptr<OfSize>, 65> sizes_;        ///< by bit width of the bytes
  std::vector<std::uint8_t> used_sizes_;
  bool outdated_ = false;  ///< the bitmaps are: slots have moved, or ranks have changed
  Past ghosts_;
};

}  // namespace lmcache::cache
