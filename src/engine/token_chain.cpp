#include "engine/token_chain.hpp"

extern "C" {
#include <blake3.h>
}

#include <algorithm>
#include <array>
#include <cstring>

namespace lmcache::engine {
namespace {

constexpr std::size_t kTokensPerStep = 256 * 1024;

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

ChainBuilder::ChainBuilder(TokenChains& chains, std::string request_id, wire::TokenIds tokens,
                           std::uint32_t chunks)
    : chains_(&chains), request_id_(std::move(request_id)), chunks_(chunks) {
  const std::size_t chunk = chains.chunk_tokens();
  tokens.resize(std::size_t{chunks} * chunk);
  ChainPtr known = chains.find(request_id_);
  std::size_t same = 0;  // leading chunks whose tokens agree
  if (known) {
    const std::size_t n = std::min(tokens.size(), known->tokens.size());
    const auto differs = std::mismatch(
        tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(n), known->tokens.begin());
    same = static_cast<std::size_t>(differs.first - tokens.begin()) / chunk;
  }
  if (known && same == chunks) {
    chain_ = std::move(known);
    return;
  }
  growing_ = std::make_shared<TokenChain>();
  growing_->tokens = std::move(tokens);
  growing_->hashes.reserve(chunks);
  if (known)
    growing_->hashes.assign(known->hashes.begin(),
                            known->hashes.begin() + static_cast<std::ptrdiff_t>(same));
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
        hash_chunk(previous, std::span{growing_->tokens}.subspan(hashes.size() * chunk, chunk)));
  }
  if (hashes.size() < chunks_) return false;
  chain_ = std::move(growing_);
  if (chunks_ > 0) chains_->put(request_id_, chain_);
  return true;
}

std::uint64_t TokenChains::bytes_of(const Entry& entry) {
  return entry.request_id.size() + entry.chain->tokens.capacity() * sizeof(std::uint32_t) +
         entry.chain->hashes.capacity() * sizeof(ChunkHash) + sizeof(Entry);
}

ChainPtr TokenChains::find(const std::string& request_id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_request_.find(request_id);
  if (found == by_request_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second);
  order_.front().last_used = Clock::now();
  return order_.front().chain;
}

void TokenChains::put(const std::string& request_id, ChainPtr chain) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_request_.find(request_id); found != by_request_.end())
    erase(found->second);
  order_.push_front({request_id, std::move(chain), Clock::now()});
  by_request_[request_id] = order_.begin();
  bytes_ += bytes_of(order_.front());
  while (bytes_ > bytes_max_ && !order_.empty()) erase(std::prev(order_.end()));
}

void TokenChains::erase(Order::iterator entry) {
  bytes_ -= bytes_of(*entry);
  by_request_.erase(entry->request_id);
  order_.erase(entry);
}

void TokenChains::forget(const std::string& request_id) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_request_.find(request_id); found != by_request_.end())
    erase(found->second);
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
