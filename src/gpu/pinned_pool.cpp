#include "gpu/pinned_pool.hpp"

#include "gpu/gpu_cpus.hpp"
#include "obs/log.hpp"
#include "obs/pulse.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace lmcache::gpu {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kTouchBytes = 64ull << 20;  ///< a thread's share at a time
constexpr std::size_t kPage = 4096;

double seconds_since(Clock::time_point begun) {
  return std::max(1e-9, std::chrono::duration<double>(Clock::now() - begun).count());
}

/// Behind the first bytes nobody is in a hurry.
unsigned touching_threads(const PinnedPool::Options& options, std::uint64_t before) {
  const unsigned all = options.threads > 0
                           ? options.threads
                           : std::clamp(std::thread::hardware_concurrency() / 2, 1u, 16u);
  return before < options.first_bytes ? all : std::max(1u, all / 4);
}

}  // namespace

// One thread walks the parts, in the order in which the allocator fills them: helped by others it
// touches a part, then it registers it if there is a driver. What it has done is published part by
// part.
struct PinnedPool::Impl {
  struct Part {
    std::span<std::byte> memory;
    std::atomic<bool> touched = false, pinned = false, failed = false;
    [[nodiscard]] bool ready(bool to_be_pinned) const {
      return to_be_pinned ? pinned || failed : touched.load();
    }
  };

  Impl(std::span<std::byte> all, const Options& given) : options(given) {
    const std::uint64_t count = (all.size() + given.part_bytes - 1) / given.part_bytes;
    parts = std::vector<Part>(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::uint64_t at = i * given.part_bytes;
      parts[i].memory = all.subspan(at, std::min<std::uint64_t>(given.part_bytes, all.size() - at));
    }
  }

  ~Impl() {
    stopping = true;
    join();
  }

  void join() {
    if (walker.joinable()) walker.join();
  }

  void start() {
    stopping = false;
    walker = std::thread([this] { walk(); });
  }

  void walk() {
    obs::Pulse pulse("L1 pinning");
    const auto begun = Clock::now();
    auto said = begun;
    if (driver.pin)
      obs::log_event(obs::Level::kInfo, "pinning L1",
                     {{"bytes", left_bytes()}, {"parts", parts.size()}});
    std::uint64_t walked = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Part& part = parts[(first_part() + i) % parts.size()];
      const auto reached = Clock::now();
      if (stopping) return;
      if (!part.touched) touch(part, walked, pulse);
      walked += part.memory.size();
      if (stopping) return;
      pulse.beat();
      if (!driver.pin) continue;
      if (!part.pinned) register_part(part);
      pin_rate = static_cast<double>(part.memory.size()) / seconds_since(reached);
      if (Clock::now() - said < options.say_every) continue;
      said = Clock::now();
      obs::log_event(obs::Level::kInfo, "L1 is being pinned",
                     {{"bytes", pinned_bytes()}, {"seconds_left", seconds_left()}});
    }
    if (!driver.pin) return;
    obs::log_event(obs::Level::kInfo, "L1 is pinned",
                   {{"bytes", pinned_bytes()},
                    {"failed_parts", failed_parts()},
                    {"seconds", seconds_since(begun)}});
  }

  /// The smallest free extent is used first (pool::Allocator), which is the last part where it is
  /// shorter than the others; these follow by address.
  [[nodiscard]] std::size_t first_part() const {
    return parts.back().memory.size() < parts.front().memory.size() ? parts.size() - 1 : 0;
  }

  void touch(Part& part, std::uint64_t before, obs::Pulse& pulse) {
    const auto begun = Clock::now();
    std::atomic<std::uint64_t> next = 0, done = 0;
    const auto work = [&] {
      run_on_gpu_cpus();
      for (;;) {
        const std::uint64_t at = next.fetch_add(kTouchBytes);
        if (at >= part.memory.size() || stopping) return;
        pulse.beat();  // for the walker, which waits for us
        const auto share =
            part.memory.subspan(at, std::min<std::uint64_t>(kTouchBytes, part.memory.size() - at));
        // An atomic OR of nothing: requests may be writing here already.
        for (std::size_t i = 0; i < share.size(); i += kPage)
          std::atomic_ref(reinterpret_cast<std::uint8_t&>(share[i]))
              .fetch_or(0, std::memory_order_relaxed);
        touch_rate = static_cast<double>(done += share.size()) / seconds_since(begun);
      }
    };
    std::vector<std::thread> helpers;
    for (unsigned i = 0; i < touching_threads(options, before); ++i) helpers.emplace_back(work);
    for (std::thread& helper : helpers) helper.join();
    part.touched = !stopping;
  }

  void register_part(Part& part) {
    const Status pinned = driver.pin(part.memory);
    if (pinned) {
      part.pinned = true;
      return;
    }
    const bool first = failed_parts() == 0;
    part.failed = true;
    const std::lock_guard lock(mutex);
    error = pinned.error().text;
    if (first)
      obs::log_event(obs::Level::kWarn, "L1 cannot be pinned; copies to and from it are slower",
                     {{"reason", error}});
  }

  /// There is no driver any more, or a new one.
  void forget_pinning() {
    for (Part& part : parts) part.failed = false;
    pin_rate = 0;
    const std::lock_guard lock(mutex);
    error.clear();
  }

  /// Summed over the parts of which `counts` is true.
  template <class Counts>
  [[nodiscard]] std::uint64_t bytes_if(Counts counts) const {
    std::uint64_t sum = 0;
    for (const Part& part : parts)
      if (counts(part)) sum += part.memory.size();
    return sum;
  }
  [[nodiscard]] std::uint64_t left_bytes() const {
    const bool to_be_pinned = for_gpu;
    if (!to_be_pinned && !to_be_touched) return 0;
    return bytes_if([&](const Part& part) { return !part.ready(to_be_pinned); });
  }
  [[nodiscard]] double seconds_left() const {
    // Parts that had been touched before are registered in no time, and say nothing of the others.
    const double pinning = pin_rate, touching = touch_rate;
    const double rate =
        pinning > 0 && touching > 0 ? std::min(pinning, touching) : std::max(pinning, touching);
    return rate > 0 ? static_cast<double>(left_bytes()) / rate : 0;
  }
  [[nodiscard]] std::uint64_t pinned_bytes() const {
    return bytes_if([](const Part& part) { return part.pinned.load(); });
  }
  [[nodiscard]] std::uint64_t failed_parts() const {
    return static_cast<std::uint64_t>(
        std::ranges::count_if(parts, [](const Part& part) { return part.failed.load(); }));
  }

  const Options options;
  std::vector<Part> parts;  // size fixed
  std::atomic<bool> stopping = false;
  std::atomic<bool> to_be_touched = false, for_gpu = false;  ///< touch(); between pin() and unpin()
  std::atomic<double> pin_rate = 0, touch_rate = 0;          ///< bytes per second; 0: not known yet
  Driver driver;                                             // set while no walker runs
  mutable std::mutex mutex;
  std::string error;  // guarded
  std::thread walker;
};

PinnedPool::PinnedPool(std::span<std::byte> memory, const Options& options)
    : memory_(memory), impl_(std::make_unique<Impl>(memory, options)) {}

PinnedPool::~PinnedPool() = default;

void PinnedPool::touch(bool wait) {
  impl_->join();
  impl_->to_be_touched = true;
  impl_->start();
  if (wait) impl_->join();
}

void PinnedPool::pin(Driver driver) {
  impl_->stopping = true;  // a walker that only touches; what it has done stays done
  impl_->join();
  impl_->driver = std::move(driver);
  impl_->forget_pinning();
  impl_->for_gpu = true;
  impl_->start();
}

void PinnedPool::unpin(const std::function<void()>& beat) {
  impl_->stopping = true;
  impl_->join();
  impl_->for_gpu = false;  // first: what is unpinned is not to be pinned again
  for (Impl::Part& part : impl_->parts) {
    beat();
    if (part.pinned.exchange(false)) impl_->driver.unpin(part.memory);
  }
  impl_->driver = {};
  impl_->forget_pinning();
  if (impl_->to_be_touched) impl_->start();  // may have been cut short
}

bool PinnedPool::pinned(const std::byte* data) const noexcept {
  const auto offset = static_cast<std::uint64_t>(data - memory_.data());
  return impl_->parts[offset / impl_->options.part_bytes].pinned.load(std::memory_order_acquire);
}

PinnedPoolStatus PinnedPool::status() const {
  PinnedPoolStatus status;
  status.total_bytes = memory_.size();
  status.touched_bytes =
      impl_->bytes_if([](const Impl::Part& part) { return part.touched.load(); });
  status.pinned_bytes = impl_->pinned_bytes();
  status.ready_bytes = status.total_bytes - impl_->left_bytes();
  status.failed_parts = impl_->failed_parts();
  status.seconds_left = impl_->seconds_left();
  const std::lock_guard lock(impl_->mutex);
  status.error = impl_->error;
  return status;
}

}  // namespace lmcache::gpu
