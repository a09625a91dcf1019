// W-TinyLFU (Einziger, Friedman and Manes 2017) by bytes: newcomers pass through a small window (1
// % of the bytes). Whoever falls out of it stays only if it was seen more often lately, by a sketch
// that also remembers what was evicted, than the next to go of the main part. That is a segmented
// LRU: `probation`, and for what was hit there `protected` (80 % of it).
#pragma once

#include "cache/list_policy.hpp"
#include "cache/sketch.hpp"

namespace lmcache::cache {

struct WTinyLfuNode : ListNode {
  enum class Part : std::uint8_t { kWindow, kProbation, kProtected };
  std::uint64_t name = 0;
  Part part = Part::kWindow;  ///< where it is, or was last
  bool hit = false;           ///< since it was inserted
};

class WTinyLfu final : public ListPolicy<WTinyLfuNode> {
 public:
  void admit(ChunkId id, const Identity& identity) override;
  void insert(ChunkId id, std::uint64_t bytes) override;
  void hit(ChunkId id) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;

 private:
  static constexpr std::uint64_t kWindowShare = 100;      ///< one in so many bytes
  static constexpr std::uint64_t kProtectedPercent = 80;  ///< of probation and protected
  using Node = WTinyLfuNode;
  using Part = Node::Part;
  [[nodiscard]] List<Node>& list(Part part) noexcept {
    return lists_[static_cast<std::size_t>(part)];
  }
  [[nodiscard]] List<Node>& list(ChunkId id) noexcept override { return list(nodes_[id].part); }
  void move(ChunkId id, Part part);

  List<Node> lists_[3];  ///< by Part
  FrequencySketch sketch_;
};

}  // namespace lmcache::cache
