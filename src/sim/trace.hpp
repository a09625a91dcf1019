// Request traces in the public Mooncake format: JSON lines with
//
//   timestamp      milliseconds
//   input_length   tokens of the prompt
//   output_length  tokens of the answer
//   hash_ids       a number per block of the prompt; equal numbers are equal beginnings up to there
//   cache_salt     (ours, optional) the tenant
//
// A line that cannot be read is an error with its number: a trace is a file from elsewhere.
#pragma once

#include <lmcache/cache.hpp>
#include <lmcache/status.hpp>

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace lmcache::sim {

struct TraceRequest {
  std::uint64_t timestamp_ms = 0;
  std::uint32_t input_tokens = 0, output_tokens = 0;
  std::vector<std::uint64_t> blocks;  ///< hash_ids
  std::string salt;
  friend bool operator==(const TraceRequest&, const TraceRequest&) = default;
};
using Trace = std::vector<TraceRequest>;

/// Timestamps are put in order; kMalformed with the line number otherwise.
[[nodiscard]] Result<Trace> read_trace(std::istream& in);
void write_trace(std::ostream& out, const Trace& trace);

/// Hashes of the prompt's whole chunks; a block of the trace is `block_tokens` long, a multiple of
/// `chunk_tokens` or the other way round.
[[nodiscard]] std::vector<ChunkHash> chain_of(const TraceRequest& request,
                                              std::uint32_t block_tokens,
                                              std::uint32_t chunk_tokens);

}  // namespace lmcache::sim
