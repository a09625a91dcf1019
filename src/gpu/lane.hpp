// Streams and staging buffers of an engine: a way for each direction of the link, so that stores
// and retrieves run at the same time. Engines share lanes where a GPU has more of them than the
// staging memory allows lanes; even then an engine whose event never comes holds up itself alone.
//
// Threads: the GPU's own.
#pragma once

#include "gpu/way.hpp"

#include <algorithm>
#include <cstdint>

namespace lmcache::gpu {

/// Slots of a lane. Some 2 us pass between two DMAs, so larger ones gain little (32 MiB: nothing
/// that a client would see), and a lane per engine gains much.
inline constexpr std::uint64_t kSlotsPerLane = 2 * kSlotsPerWay;
[[nodiscard]] constexpr std::uint64_t slot_bytes(std::uint64_t staging_bytes) noexcept {
  constexpr std::uint64_t kMost = 16ull << 20;
  return std::min(kMost, staging_bytes / kSlotsPerLane);
}

class Lane {
 public:
  explicit Lane(LaneContext& context)
      : store_(copy::Direction::kStore, context), retrieve_(copy::Direction::kRetrieve, context) {}
  unsigned users = 0;  ///< registrations
  [[nodiscard]] Way& way(copy::Direction direction) noexcept {
    return direction == copy::Direction::kStore ? store_ : retrieve_;
  }
  [[nodiscard]] bool gated() const noexcept { return store_.gated() || retrieve_.gated(); }
  template <class Visit>  // (Way&)
  void each_way(Visit visit) {
    visit(store_);
    visit(retrieve_);
  }

 private:
  Way store_, retrieve_;
};

}  // namespace lmcache::gpu
