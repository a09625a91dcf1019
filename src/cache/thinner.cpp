#include "cache/thinner.hpp"

#include <algorithm>
#include <bit>

namespace lmcache::cache {

// Counting from i to i+w carries into bit k exactly if a multiple of 2^k is passed.
std::uint8_t Thinner::level(std::uint32_t chunk, std::uint32_t window) noexcept {
  const std::uint64_t passed = (std::uint64_t{chunk} + std::max(window, 1u)) ^ chunk;
  return static_cast<std::uint8_t>(
      std::min<int>(static_cast<int>(std::bit_width(passed)), kLevels) - 1);
}

void Thinner::insert(ChunkId id, TenantId tenant, std::uint8_t rung, std::uint64_t bytes) {
  nodes_.grow_to(id + 1);
  tenants_.resize(std::max<std::size_t>(tenants_.size(), tenant + std::size_t{1}));
  nodes_[id].bytes = bytes;
  tenants_[tenant][rung].push_newest(nodes_, id);
}

void Thinner::remove(ChunkId id, TenantId tenant, std::uint8_t rung) {
  tenants_[tenant][rung].erase(nodes_, id);
}

std::optional<ChunkId> Thinner::first(TenantId tenant, std::uint8_t last) const noexcept {
  if (tenant >= tenants_.size()) return std::nullopt;
  for (std::size_t rung = 1; rung <= last; ++rung)
    if (!tenants_[tenant][rung].empty()) return tenants_[tenant][rung].oldest();
  return std::nullopt;
}

std::uint64_t Thinner::bytes_below(TenantId tenant, std::uint8_t rung) const noexcept {
  std::uint64_t bytes = 0;
  if (tenant < tenants_.size())
    for (std::size_t i = 1; i < rung; ++i) bytes += tenants_[tenant][i].bytes();
  return bytes;
}

}  // namespace lmcache::cache
