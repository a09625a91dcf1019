// Staging memory of one GPU, in berths for lanes. Berths come in pairs where there is room: whoever
// is alone in one has slots twice as large, until another needs the half beside.
//
//   [berth 0, slot 0][berth 1, slot 0][berth 0, slot 1][berth 1, slot 1]...
//   [ slot 0 of who is alone         ][ slot 1 of who is alone         ]...
//
// Threads: the GPU's own.
#pragma once

#include <lmcache/status.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace lmcache::gpu {

inline constexpr std::uint64_t kSlotsPerWay = 2;
inline constexpr std::uint64_t kSlotsPerLane = 2 * kSlotsPerWay;

/// Of a slot of which a lane can be sure. Some 2 us pass between two DMAs: twice the size gains a
/// gigabyte 0.3 to 0.5 %, and a lane of its own gains an engine much more.
[[nodiscard]] constexpr std::uint64_t slot_bytes(std::uint64_t staging_bytes) noexcept {
  constexpr std::uint64_t kMost = 16ull << 20;
  return std::min(kMost, staging_bytes / kSlotsPerLane);
}

/// Slots of one lane. They go back with it, when nothing on the GPU uses them any more.
class Berth {
 public:
  Berth(Berth&&) noexcept = default;
  Berth& operator=(Berth&&) noexcept = default;

  /// It has all of a pair.
  [[nodiscard]] bool wide() const noexcept;
  [[nodiscard]] std::uint64_t slot_bytes() const noexcept;
  [[nodiscard]] std::byte* slot(std::uint64_t number) const noexcept;
  /// The half beside; this one is wide and becomes narrow. What has been enqueued so far may still
  /// use all of it.
  [[nodiscard]] Berth half() const;

 private:
  friend class Staging;
  struct Block;
  Berth(std::shared_ptr<Block> block, unsigned index) : block_(std::move(block)), index_(index) {}

  std::shared_ptr<Block> block_;  ///< nobody but berths has it
  unsigned index_;
};

class Staging {
 public:
  explicit Staging(std::uint64_t most) noexcept : slot_bytes_(gpu::slot_bytes(most)), most_(most) {}
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// A wide one if there is room for that. kNoMemory: all that there may be is in use, or the GPU
  /// has no more.
  [[nodiscard]] Result<Berth> take();
  /// Allocated.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  friend struct Berth::Block;
  const std::uint64_t slot_bytes_, most_;
  std::uint64_t bytes_ = 0;
};

}  // namespace lmcache::gpu
