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
    const std::uint64_t before = pinned_bytes();
    std::uint64_t walked = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      Part& part = parts[(first_part() + i) % parts.size()];
      if (stopping) return;
      if (!part.touched) touch(part, walked, pulse);
      walked += part.memory.size();
      if (stopping) return;
      pulse.beat();
      if (driver.pin && !part.pinned) register_part(part);
      const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
      const std::uint64_t done = pinned_bytes() - before;
      pin_rate = seconds > 0 ? static_cast<double>(done) / seconds : 0;
    }
    if (!driver.pin) return;
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    obs::log_event(
        obs::Level::kInfo, "L1 is pinned",
        {{"bytes", pinned_bytes()}, {"failed_parts", failed_parts()}, {"seconds", seconds}});
  }

  /// The smallest free extent is used first (pool::Allocator), which is the last part where it is
  /// shorter than the others; these follow by address.
  [[nodiscard]] std::size_t first_part() const {
    return parts.back().memory.size() < parts.front().memory.size() ? parts.size() - 1 : 0;
  }

  void touch(Part& part, std::uint64_t before, obs::Pulse& pulse) {
    std::atomic<std::uint64_t> next = 0;
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

  /// Summed over the parts of which `counts` is true.
  template <class Counts>
  [[nodiscard]] std::uint64_t bytes_if(Counts counts) const {
    std::uint64_t sum = 0;
    for (const Part& part : parts)
      if (counts(part)) sum += part.memory.size();
    return sum;
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
  std::atomic<bool> wanted = false, for_gpu = false;  ///< anybody asked for it; to be pinned
  std::atomic<double> pin_rate = 0;
  Driver driver;  // set while no walker runs
  mutable std::mutex mutex;
  std::string error;  // guarded
  std::thread walker;
};

PinnedPool::PinnedPool(std::span<std::byte> memory, const Options& options)
    : memory_(memory), impl_(std::make_unique<Impl>(memory, options)) {}

PinnedPool::~PinnedPool() = default;

void PinnedPool::touch(bool wait) {
  impl_->join();
  impl_->wanted = true;
  impl_->start();
  if (wait) impl_->join();
}

void PinnedPool::pin(Driver driver) {
  impl_->stopping = true;  // a walker that only touches; what it has done stays done
  impl_->join();
  impl_->driver = std::move(driver);
  for (Impl::Part& part : impl_->parts) part.failed = false;
  impl_->wanted = impl_->for_gpu = true;
  impl_->start();
}

void PinnedPool::unpin() {
  impl_->stopping = true;
  impl_->join();
  for (Impl::Part& part : impl_->parts)
    if (part.pinned.exchange(false)) impl_->driver.unpin(part.memory);
  impl_->driver = {};
  impl_->for_gpu = false;
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
  const bool wanted = impl_->wanted, for_gpu = impl_->for_gpu;
  status.ready_bytes =
      impl_->bytes_if([&](const Impl::Part& part) { return !wanted || part.ready(for_gpu); });
  status.failed_parts = impl_->failed_parts();
  const double rate = impl_->pin_rate;
  if (status.pinned_bytes > 0 && status.pinned_bytes < status.total_bytes && rate > 0)
    status.seconds_left = static_cast<double>(status.total_bytes - status.pinned_bytes) / rate;
  const std::lock_guard lock(impl_->mutex);
  status.error = impl_->error;
  return status;
}

}  // namespace lmcache::gpu
