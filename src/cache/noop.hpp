// Never evicts: what is stored stays until cleared, and a full pool refuses stores.
#pragma once

#include "cache/policy.hpp"

namespace lmcache::cache {

class Noop final : public Policy {
 public:
  void admit(ChunkId /*id*/, const Identity& /*identity*/) override {}
  void insert(ChunkId /*id*/, std::uint64_t /*bytes*/) override {}
  void touch(ChunkId /*id*/) override {}
  void remove(ChunkId /*id*/) override {}
  [[nodiscard]] std::optional<ChunkId> victim(TenantId /*tenant*/) override { return std::nullopt; }
  [[nodiscard]] bool evicts() const noexcept override { return false; }
};

}  // namespace lmcache::cache
