// Arrays that grow without moving what is in them: one allocation per page, stable references,
// 32-bit ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "pool/invariant.hpp"

namespace lmcache::cache {

/// Values by dense id; references stay valid for the life of the array.
template <class T>
class Paged {
 public:
  /// Makes ids 0..count-1 usable; new values are T{}.
  void grow_to(std::uint32_t count) {
    while (pages_.size() * kPageSize < count) pages_.push_back(std::make_unique<T[]>(kPageSize));
  }
  [[nodiscard]] T& operator[](std::uint32_t id) noexcept {
    return pages_[id / kPageSize][id % kPageSize];
  }
  [[nodiscard]] const T& operator[](std::uint32_t id) const noexcept {
    return pages_[id / kPageSize][id % kPageSize];
  }

 private:
  static constexpr std::uint32_t kPageSize = 1024;
  std::vector<std::unique_ptr<T[]>> pages_;
};

/// Hands out ids and takes them back; the lowest ids never used before come last.
class IdPool {
 public:
  [[nodiscard]] std::uint32_t take() {
    if (!returned_.empty()) {
      const std::uint32_t id = returned_.back();
      returned_.pop_back();
      return id;
    }
    invariant(end_ < UINT32_MAX - 1, "fewer than 2^32 ids are in use");
    return end_++;
  }
  void give_back(std::uint32_t id) { returned_.push_back(id); }
  /// Every id ever taken is below this.
  [[nodiscard]] std::uint32_t end() const noexcept { return end_; }

 private:
  std::vector<std::uint32_t> returned_;
  std::uint32_t end_ = 0;
};

}  // namespace lmcache::cache
