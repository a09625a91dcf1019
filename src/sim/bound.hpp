// What no policy can exceed. Every chunk access of a trace's prompts is known beforehand, so those
// that are needed again soonest are kept: Belady's MIN, which may also decline to keep a chunk, is
// the best there is for objects of one size. A hit needs more than that its chunk is resident (its
// prefix must be as well, and windowed objects), so what it counts is a bound, not a schedule.
#pragma once

#include <cstdint>
#include <vector>

#include "sim/trace.hpp"

namespace lmcache::sim {

/// Prompts as dense chunk numbers, equal where the chunks are.
using NumberedPrompts = std::vector<std::vector<std::uint32_t>>;
[[nodiscard]] NumberedPrompts number_chunks(const Trace& trace, std::uint32_t block_tokens,
                                            std::uint32_t chunk_tokens);

/// Chunks that a cache of `capacity` chunks could have served at most.
[[nodiscard]] std::uint64_t most_hits(const NumberedPrompts& prompts, std::uint64_t capacity);
/// Of an unlimited one: every chunk that came before.
[[nodiscard]] std::uint64_t repeated_chunks(const NumberedPrompts& prompts);
/// Different ones.
[[nodiscard]] std::uint64_t distinct_chunks(const NumberedPrompts& prompts);

}  // namespace lmcache::sim
