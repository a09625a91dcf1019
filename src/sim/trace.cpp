#include "sim/trace.hpp"

#include <algorithm>
#include <cstring>
#include <istream>
#include <nlohmann/json.hpp>
#include <ostream>

namespace lmcache::sim {
namespace {

using nlohmann::json;

constexpr std::uint32_t kTokensMax = 1u << 28;

Error bad_line(std::size_t number, const std::string& what) {
  return {Cause::kMalformed, "trace line " + std::to_string(number) + ": " + what};
}

/// A whole number, or a fraction cut down to one (some published traces have them in timestamp).
bool read_number(const json& line, const char* key, std::uint64_t max, std::uint64_t& out) {
  const auto found = line.find(key);
  if (found == line.end() || !found->is_number()) return false;
  const double value = found->get<double>();
  if (!(value >= 0 && value <= static_cast<double>(max))) return false;
  out =
      found->is_number_unsigned() ? found->get<std::uint64_t>() : static_cast<std::uint64_t>(value);
  return true;
}

Result<TraceRequest> read_line(const std::string& text, std::size_t number) {
  const json line = json::parse(text, nullptr, false);
  if (!line.is_object()) return bad_line(number, "not a JSON object");
  TraceRequest request;
  std::uint64_t input = 0;
  std::uint64_t output = 0;
  if (!read_number(line, "timestamp", 1ull << 53, request.timestamp_ms))
    return bad_line(number, "timestamp is missing or not a number of milliseconds");
  if (!read_number(line, "input_length", kTokensMax, input) ||
      !read_number(line, "output_length", kTokensMax, output))
    return bad_line(number, "input_length or output_length is missing or no number of tokens");
  const auto ids = line.find("hash_ids");
  if (ids == line.end() || !ids->is_array()) return bad_line(number, "hash_ids is no array");
  for (const json& id : *ids) {
    if (!id.is_number_integer()) return bad_line(number, "hash_ids holds something but numbers");
    request.blocks.push_back(id.get<std::uint64_t>());
  }
  request.input_tokens = static_cast<std::uint32_t>(input);
  request.output_tokens = static_cast<std::uint32_t>(output);
  if (const auto salt = line.find("cache_salt"); salt != line.end()) {
    if (!salt->is_string()) return bad_line(number, "cache_salt is no text");
    request.salt = salt->get<std::string>();
  }
  return request;
}

}  // namespace

Result<Trace> read_trace(std::istream& in) {
  Trace trace;
  std::string text;
  for (std::size_t number = 1; std::getline(in, text); ++number) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
    auto request = read_line(text, number);
    if (!request) return request.error();
    trace.push_back(std::move(*request));
  }
  if (trace.empty()) return Error{Cause::kMalformed, "the trace has no requests"};
  std::stable_sort(trace.begin(), trace.end(), [](const TraceRequest& a, const TraceRequest& b) {
    return a.timestamp_ms < b.timestamp_ms;
  });
  return trace;
}

void write_trace(std::ostream& out, const Trace& trace) {
  for (const TraceRequest& request : trace) {
    nlohmann::ordered_json line;
    line["timestamp"] = request.timestamp_ms;
    line["input_length"] = request.input_tokens;
    line["output_length"] = request.output_tokens;
    line["hash_ids"] = request.blocks;
    if (!request.salt.empty()) line["cache_salt"] = request.salt;
    out << line.dump() << '\n';
  }
}

std::vector<ChunkHash> chain_of(const TraceRequest& request, std::uint32_t block_tokens,
                                std::uint32_t chunk_tokens) {
  const std::uint64_t known = std::min<std::uint64_t>(
      request.input_tokens, request.blocks.size() * std::uint64_t{block_tokens});
  std::vector<ChunkHash> chain(known / chunk_tokens);
  for (std::size_t i = 0; i < chain.size(); ++i) {
    // The block that the chunk ends in names the beginning up to there; the place in it the chunk.
    const std::uint64_t last_token = (i + 1) * std::uint64_t{chunk_tokens} - 1;
    const std::uint64_t words[2] = {request.blocks[last_token / block_tokens],
                                    last_token % block_tokens};
    std::memcpy(chain[i].bytes.data(), words, sizeof words);
  }
  return chain;
}

}  // namespace lmcache::sim
