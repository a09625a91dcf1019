// How long something has been going on, from a look at it now and then: as long as it went on
// between two looks it counts, to the precision of the looks.
//
// Threads: one at a time.
#pragma once

#include <chrono>

namespace lmcache::gpu {

class BusyTime {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `busy` from `now` on; times never go back.
  void look(bool busy, Time now) noexcept {
    if (busy_) total_ += now - seen_;
    busy_ = busy;
    seen_ = now;
  }
  [[nodiscard]] double seconds() const noexcept { return total_.count(); }

 private:
  bool busy_ = false;
  Time seen_{};
  std::chrono::duration<double> total_{};
};

}  // namespace lmcache::gpu
