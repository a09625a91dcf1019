#include "gpu/path_choice.hpp"

#include <algorithm>

namespace lmcache::gpu {

Path PathChoice::choose(Clock::time_point now) const noexcept {
  const auto direct_if = [](bool direct) { return direct ? Path::kDirect : Path::kStaged; };
  if (staged_.samples < kFirstSamples) return Path::kStaged;
  if (direct_.samples == 0) return Path::kDirect;
  if (direct_.lately > staged_.lately) return direct_if(now - staged_.last < try_staged_after_);
  return direct_if(staged_.lately < staged_.best / 2 && now - direct_.last > kTryAgain);
}

void PathChoice::learn(Path path, std::uint64_t bytes, Clock::duration took,
                       Clock::time_point now) noexcept {
  if (bytes < kLeastBytes) return;
  const double micros = std::chrono::duration<double, std::micro>(took).count();
  const double rate = static_cast<double>(bytes) / std::max(micros, 1.0);
  Rate& kind = path == Path::kDirect ? direct_ : staged_;
  kind.lately = kind.samples == 0 ? rate : (kind.lately + rate) / 2;
  kind.best = std::max(kind.best, kind.lately);
  ++kind.samples;
  kind.last = now;
  if (path == Path::kStaged && direct_.samples > 0) {
    const bool in_vain = direct_.lately > staged_.lately;
    try_staged_after_ = in_vain ? std::min<Clock::duration>(2 * try_staged_after_, kTryAtLast)
                                : Clock::duration(kTryAgain);
  }
}

void DirectPlans::planned(bool worthwhile, Clock::time_point now) noexcept {
  if (worthwhile) {
    pause_ = PathChoice::kTryAgain;
    return;
  }
  next_ = now + pause_;
  pause_ = std::min<Clock::duration>(2 * pause_, PathChoice::kTryAtLast);
}

}  // namespace lmcache::gpu
