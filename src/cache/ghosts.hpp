// Names of chunks that were evicted, oldest first, and how many bytes they had. Takes no more room
// than the chunks whose names it keeps: trimmed by bytes by its owner. In parts, as the index is,
// so that none of them takes long to grow.
#pragma once

#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <deque>
#include <optional>

namespace lmcache::cache {

class Ghosts {
 public:
  /// As the newest; a name that is there already moves.
  void add(std::uint64_t name, std::uint64_t bytes) {
    take(name);
    part(name)[name] = {next_, bytes};
    order_.push_back({name, next_++});
    bytes_ += bytes;
  }
  /// Forgets the name; its bytes if it was there.
  std::optional<std::uint64_t> take(std::uint64_t name) {
    Part& names = part(name);
    const auto found = names.find(name);
    if (found == names.end()) return std::nullopt;
    const std::uint64_t bytes = found->second.bytes;
    names.erase(found);
    bytes_ -= bytes;
    return bytes;
  }
  /// Forgets the oldest until no more than `bytes` are left. Amortised O(1) for each that was
  /// added.
  void trim(std::uint64_t bytes) {
    while (!order_.empty()) {
      const Place& oldest = order_.front();
      const Part& names = part(oldest.name);
      const auto found = names.find(oldest.name);
      const bool current = found != names.end() && found->second.number == oldest.number;
      if (current && bytes_ <= bytes) return;
      if (current) take(oldest.name);
      order_.pop_front();
    }
  }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

 private:
  struct Place {
    std::uint64_t name, number;
  };
  struct Ghost {
    std::uint64_t number = 0, bytes = 0;
  };
  using Part = boost::unordered_flat_map<std::uint64_t, Ghost>;
  [[nodiscard]] Part& part(std::uint64_t name) noexcept {
    return by_name_[name >> 24 & (by_name_.size() - 1)];
  }
  std::array<Part, 64> by_name_;
  std::deque<Place> order_;  ///< with places of names taken since, passed over by trim()
  std::uint64_t next_ = 0, bytes_ = 0;
};

}  // namespace lmcache::cache
