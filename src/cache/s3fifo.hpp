// S3-FIFO (Yang and others, SOSP 2023) by bytes: newcomers queue in `small`, a tenth of the bytes;
// who is not hit there leaves early and only its name stays a while. Who was hit there, or comes
// back while its name is remembered, goes to `main`, where each hit (three at most count) buys one
// more round.
//
// A chunk is out of its queue while in use and comes back at the young end.
#pragma once

#include "cache/ghosts.hpp"
#include "cache/list_policy.hpp"

namespace lmcache::cache {

struct S3FifoNode : ListNode {
  std::uint64_t name = 0;
  std::uint32_t rounds = 0;
  bool in_main = false;
};

class S3Fifo final : public ListPolicy<S3FifoNode> {
 public:
  void admit(ChunkId id, const Identity& identity) override;
  void hit(ChunkId id) override;
  void touch(ChunkId id) override;
  void evicted(ChunkId id) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;

 private:
  static constexpr std::uint32_t kMaxRounds = 3;
  static constexpr std::uint64_t kSmallShare = 10;  ///< one in so many bytes
  [[nodiscard]] List<S3FifoNode>& list(ChunkId id) noexcept override {
    return nodes_[id].in_main ? main_ : small_;
  }
  [[nodiscard]] bool small_is_full() const noexcept;

  List<S3FifoNode> small_, main_;
  Ghosts ghosts_;
};

}  // namespace lmcache::cache
