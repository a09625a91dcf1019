#include "wire/known_tokens.hpp"

#include <algorithm>
#include <cstring>

namespace lmcache::wire {
namespace {

/// The array's length and its first tokens.
constexpr std::size_t kStartBytes = 64;

bool begins_with(ByteView data, ByteView start) {
  if (data.size() < start.size()) return false;
  // The ends first: turns of one conversation differ there.
  constexpr std::size_t kTail = 64;
  const std::size_t tail = start.size() - std::min(kTail, start.size());
  return std::memcmp(data.data() + tail, start.data() + tail, start.size() - tail) == 0 &&
         std::memcmp(data.data(), start.data(), tail) == 0;
}

}  // namespace

std::uint64_t KnownTokens::start_of(ByteView data) const {
  return hash_(data.first(std::min(data.size(), kStartBytes)));
}

KnownTokens::Match KnownTokens::find(ByteView data) {
  if (data.size() < kLeastBytes) return {};
  const std::uint64_t start = start_of(data);
  std::vector<EntryPtr> candidates;
  {
    const std::lock_guard lock(mutex_);
    const auto bucket = by_start_.find(start);
    if (bucket == by_start_.end()) return {};
    for (const Order::iterator& entry : bucket->second) candidates.push_back(*entry);
  }
  const auto found = std::ranges::find_if(
      candidates, [data](const EntryPtr& entry) { return begins_with(data, entry->encoded); });
  if (found == candidates.end()) return {};
  const std::lock_guard lock(mutex_);
  (*found)->last_used = Clock::now();
  if (const auto bucket = by_start_.find(start); bucket != by_start_.end()) {
    for (const Order::iterator& entry : bucket->second)
      if (*entry == *found) order_.splice(order_.begin(), order_, entry);
  }
  return {(*found)->tokens, (*found)->encoded.size()};
}

void KnownTokens::put(ByteView encoded, TokenListPtr tokens) {
  if (encoded.size() < kLeastBytes) return;
  if (find(encoded).tokens) return;  // the ranks of an engine send one list at the same time
  auto made = std::make_shared<Entry>();
  made->encoded.assign(encoded.begin(), encoded.end());
  made->tokens = std::move(tokens);
  made->start = start_of(encoded);
  made->last_used = Clock::now();
  if (made->bytes() > bytes_max_) return;
  const std::lock_guard lock(mutex_);
  if (const auto bucket = by_start_.find(made->start);
      bucket != by_start_.end() && bucket->second.size() >= kPerBucket)
    erase(bucket->second.front());
  bytes_ += made->bytes();
  order_.push_front(made);
  by_start_[made->start].push_back(order_.begin());
  while (bytes_ > bytes_max_) erase(std::prev(order_.end()));
}

void KnownTokens::expire(Clock::time_point before) {
  const std::lock_guard lock(mutex_);
  while (!order_.empty() && order_.back()->last_used < before) erase(std::prev(order_.end()));
}

std::uint64_t KnownTokens::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void KnownTokens::erase(Order::iterator entry) {
  bytes_ -= (*entry)->bytes();
  const auto bucket = by_start_.find((*entry)->start);
  std::erase(bucket->second, entry);
  if (bucket->second.empty()) by_start_.erase(bucket);
  order_.erase(entry);
}

}  // namespace lmcache::wire
