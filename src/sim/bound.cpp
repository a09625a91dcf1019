#include "sim/bound.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace lmcache::sim {
namespace {

constexpr std::uint64_t kNever = UINT64_MAX;

/// For every access, in order, when the same chunk is accessed next.
std::vector<std::uint64_t> next_uses(const NumberedPrompts& prompts, std::size_t chunks) {
  std::uint64_t accesses = 0;
  for (const auto& prompt : prompts) accesses += prompt.size();
  std::vector<std::uint64_t> next(accesses);
  std::vector<std::uint64_t> seen(chunks, kNever);
  std::uint64_t at = accesses;
  for (auto prompt = prompts.rbegin(); prompt != prompts.rend(); ++prompt)
    for (auto chunk = prompt->rbegin(); chunk != prompt->rend(); ++chunk) {
      next[--at] = seen[*chunk];
      seen[*chunk] = at;
    }
  return next;
}

}  // namespace

NumberedPrompts number_chunks(const Trace& trace, std::uint32_t block_tokens,
                              std::uint32_t chunk_tokens) {
  std::unordered_map<std::string, std::uint32_t> numbers;  // by hash and salt
  NumberedPrompts prompts;
  for (const TraceRequest& request : trace) {
    prompts.emplace_back();
    for (const ChunkHash& hash : chain_of(request, block_tokens, chunk_tokens)) {
      std::string name(reinterpret_cast<const char*>(hash.bytes.data()), hash.bytes.size());
      const auto number = static_cast<std::uint32_t>(numbers.size());
      prompts.back().push_back(numbers.try_emplace(name + request.salt, number).first->second);
    }
  }
  return prompts;
}

std::uint64_t distinct_chunks(const NumberedPrompts& prompts) {
  std::uint64_t chunks = 0;
  for (const auto& prompt : prompts)
    for (const std::uint32_t chunk : prompt) chunks = std::max(chunks, std::uint64_t{chunk} + 1);
  return chunks;
}

std::uint64_t repeated_chunks(const NumberedPrompts& prompts) {
  std::uint64_t accesses = 0;
  for (const auto& prompt : prompts) accesses += prompt.size();
  return accesses - distinct_chunks(prompts);
}

std::uint64_t most_hits(const NumberedPrompts& prompts, std::uint64_t capacity) {
  const std::size_t chunks = distinct_chunks(prompts);
  const std::vector<std::uint64_t> next = next_uses(prompts, chunks);
  std::set<std::pair<std::uint64_t, std::uint32_t>> kept;  // (next use, chunk)
  std::vector<std::uint64_t> key(chunks, kNever);          // its next use while kept
  std::uint64_t hits = 0;
  std::uint64_t at = 0;
  for (const auto& prompt : prompts)
    for (const std::uint32_t chunk : prompt) {
      if (kept.erase({key[chunk], chunk}) > 0) ++hits;
      key[chunk] = next[at++];
      if (key[chunk] == kNever) continue;
      kept.insert({key[chunk], chunk});
      if (kept.size() > capacity) kept.erase(std::prev(kept.end()));
    }
  return hits;
}

}  // namespace lmcache::sim
