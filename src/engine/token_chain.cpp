#include "engine/token_chain.hpp"

extern "C" {
#include <blake3.h>
}

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace lmcache::engine {
namespace {

constexpr std::size_t kTokensPerStep = 256 * 1024;

/// How many leading tokens two sequences share. Mostly they are one, or memcmp sees it at the speed
/// of memory.
std::size_t same_tokens(std::span<const std::uint32_t> a, std::span<const std::uint32_t> b) {
  const std::size_t n = std::min(a.size(), b.size());
  if (a.data() == b.data() || std::memcmp(a.data(), b.data(), n * sizeof a[0]) == 0) return n;
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(n);
  return static_cast<std::size_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

ChunkHash finish(const blake3_hasher& hasher) {
  ChunkHash out;
  blake3_hasher_finalize(&hasher, reinterpret_cast<std::uint8_t*>(out.bytes.data()),
                         out.bytes.size());
  return out;
}

}  // namespace

const ChunkHash& none_hash() {
  static const ChunkHash hash = [] {
    constexpr std::array<std::uint8_t, 12> kZeros{};
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    blake3_hasher_update(&hasher, kZeros.data(), kZeros.size());
    return finish(hasher);
  }();
  return hash;
}

ChunkHash hash_chunk(const ChunkHash& previous, std::span<const std::uint32_t> big_endian_tokens) {
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  blake3_hasher_update(&hasher, previous.bytes.data(), previous.bytes.size());
  blake3_hasher_update(&hasher, big_endian_tokens.data(), big_endian_tokens.size_bytes());
  return finish(hasher);
}

ChainBuilder::ChainBuilder(TokenChains& chains, wire::TokenListPtr tokens, std::uint32_t chunks)
    : chains_(&chains), chunks_(chunks) {
  const std::size_t count = std::size_t{chunks} * chains.chunk_tokens();
  auto [known, same] = chains.find(std::span{*tokens}.first(count));
  if (known && same == chunks) {
    chain_ = std::move(known);
    return;
  }
  growing_ = std::make_shared<TokenChain>();
  growing_->list = std::move(tokens);
  growing_->count = count;
  growing_->hashes.reserve(chunks);
  if (!known) return;
  const auto shared = known->hashes.begin() + static_cast<std::ptrdiff_t>(same);
  growing_->hashes.assign(known->hashes.begin(), shared);
  if (shared == known->hashes.end()) extended_ = std::move(known);
}

bool ChainBuilder::step() {
  if (chain_) return true;
  const std::size_t chunk = chains_->chunk_tokens();
  auto& hashes = growing_->hashes;
  const std::size_t upto = std::min<std::size_t>(
      chunks_, hashes.size() + std::max<std::size_t>(1, kTokensPerStep / chunk));
  while (hashes.size() < upto) {
    const ChunkHash& previous = hashes.empty() ? none_hash() : hashes.back();
    hashes.push_back(
        hash_chunk(previous, growing_->tokens().subspan(hashes.size() * chunk, chunk)));
  }
  if (hashes.size() < chunks_) return false;
  chain_ = std::move(growing_);
  if (chunks_ > 0) chains_->put(chain_, extended_);
  return true;
}

// Fingerprints of chunk and position, the last chunk's first, then from the highest power of two
// down.
std::vector<std::uint64_t> TokenChains::marks_of(std::span<const std::uint32_t> tokens) const {
  const std::size_t chunks = tokens.size() / chunk_tokens_;
  std::vector<std::uint64_t> marks;
  if (chunks == 0) return marks;
  const auto mark = [&](std::size_t chunk) {
    marks.push_back(
        hash_(std::as_bytes(tokens.subspan(chunk * chunk_tokens_, chunk_tokens_)), chunk));
  };
  mark(chunks - 1);
  for (std::size_t power = std::bit_floor(chunks); power > 0; power /= 2) mark(power - 1);
  return marks;
}

std::uint64_t TokenChains::bytes_of(const Entry& entry) {
  return entry.chain->list->capacity() * sizeof(std::uint32_t) +
         entry.chain->hashes.capacity() * sizeof(ChunkHash) +
         entry.marks.capacity() * sizeof(std::uint64_t) + sizeof(Entry);
}

ChainPtr TokenChains::marked(std::uint64_t mark) {
  const std::lock_guard lock(mutex_);
  const auto found = by_mark_.find(mark);
  if (found == by_mark_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  order_.front().last_used = Clock::now();
  return order_.front().chain;
}

TokenChains::Known TokenChains::find(std::span<const std::uint32_t> tokens) {
  Known best;
  ChainPtr rejected;  // neighbouring marks often name the same chain
  for (const std::uint64_t mark : marks_of(tokens)) {
    ChainPtr chain = marked(mark);
    if (!chain || chain == rejected || chain == best.chain) continue;
    const std::size_t same = same_tokens(tokens, chain->tokens()) / chunk_tokens_;
    if (same > best.chunks) {
      best = {std::move(chain), same};
    } else {
      rejected = std::move(chain);
    }
  }
  return best;
}

void TokenChains::put(ChainPtr chain, const ChainPtr& extended) {
  Entry entry{std::move(chain), {}, Clock::now()};
  entry.marks = marks_of(entry.chain->tokens());
  const std::uint64_t last_mark = extended ? marks_of(extended->tokens()).front() : 0;
  const std::lock_guard lock(mutex_);
  if (extended) {
    const auto old = by_mark_.find(last_mark);
    if (old != by_mark_.end() && old->second->chain == extended) erase(old->second);
  }
  order_.push_front(std::move(entry));
  for (const std::uint64_t mark : order_.front().marks) by_mark_[mark] = order_.begin();
  bytes_ += bytes_of(order_.front());
  while (bytes_ > bytes_max_ && !order_.empty()) erase(std::prev(order_.end()));
}

void TokenChains::erase(Order::iterator entry) {
  bytes_ -= bytes_of(*entry);
  for (const std::uint64_t mark : entry->marks) {
    if (const auto found = by_mark_.find(mark); found != by_mark_.end() && found->second == entry) {
      by_mark_.erase(found);
    }
  }
  order_.erase(entry);
}

void TokenChains::expire(Clock::time_point before) {
  const std::lock_guard lock(mutex_);
  while (!order_.empty() && order_.back().last_used < before) erase(std::prev(order_.end()));
}

std::size_t TokenChains::size() const {
  const std::lock_guard lock(mutex_);
  return order_.size();
}

std::uint64_t TokenChains::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace lmcache::engine
