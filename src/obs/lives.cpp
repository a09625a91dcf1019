#include "obs/lives.hpp"

#include <algorithm>
#include <utility>

namespace lmcache::obs {
namespace {

double seconds(Lives::Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

void Lives::sample(double share) noexcept {
  constexpr double kAll = 0x1p64;
  const double below = std::clamp(share, 0.0, 1.0) * kAll;
  below_ = below < kAll ? static_cast<std::uint64_t>(below) : UINT64_MAX;
}

void Lives::written(std::uint64_t object, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  forget_evicted(now);
  const auto found = lives_.find(object);
  if (found == lives_.end()) {
    // What is there leaves when it is evicted, so a full table does not stay as it is.
    if (lives_.size() < kRowsMax) lives_.emplace(object, Life{now, now});
    return;
  }
  Life& life = found->second;
  const double gap = seconds(now - life.used);
  life.evicted ? evict_reuse_gap.observe(gap) : reuse_gap.observe(gap);
  life = {now, now};
}

void Lives::read(std::uint64_t object, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = lives_.find(object);
  if (found == lives_.end() || found->second.evicted) return;
  reuse_gap.observe(seconds(now - found->second.used));
  found->second.used = now;
}

void Lives::evicted(std::uint64_t object, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  forget_evicted(now);
  const auto found = lives_.find(object);
  if (found == lives_.end() || found->second.evicted) return;
  Life& life = found->second;
  lifetime.observe(seconds(now - life.written));
  idle_before_evict.observe(seconds(now - life.used));
  life.used = now;
  life.evicted = true;
  evicted_.emplace_back(object, now);
}

/// Some of those that were waited for long enough, and of the oldest where there are too many.
/// Called with the lock.
void Lives::forget_evicted(Clock::time_point now) {
  constexpr int kAtOnce = 64;  // whoever evicts holds the cache's lock
  for (int forgotten = 0; forgotten < kAtOnce && !evicted_.empty(); ++forgotten) {
    const auto [object, when] = evicted_.front();
    const bool late = now - when >= kEvictedWait;
    if (!late && evicted_.size() < kRowsMax) return;
    evicted_.pop_front();
    const auto found = lives_.find(object);
    if (found == lives_.end() || !found->second.evicted || found->second.used != when) continue;
    if (late) evict_reuse_gap.observe(seconds(kEvictedWait));
    lives_.erase(found);
  }
}

std::uint64_t Lives::count_accesses(const std::string& salt, std::uint64_t chunks) {
  return reuse.row({salt}).accesses.add(chunks);
}

void Lives::accessed(const std::string& salt, std::uint64_t chunk, std::uint64_t number,
                     bool is_read, Clock::time_point now) {
  std::unique_lock lock(mutex_);
  const auto [found, is_new] = accesses_.try_emplace(chunk);
  const Access before = std::exchange(found->second, {now, number});
  if (is_new) {
    admitted_.push_back(chunk);
    if (admitted_.size() > kRowsMax) {
      accesses_.erase(admitted_.front());
      admitted_.pop_front();
    }
    return;
  }
  lock.unlock();
  if (!is_read) return;
  Reuse& row = reuse.row({salt});
  row.seconds.observe(seconds(now - before.when));
  // Two transfers may have taken their numbers the other way round.
  row.chunks.observe(static_cast<double>(number - std::min(number, before.number)));
}

}  // namespace lmcache::obs
