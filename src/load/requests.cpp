#include "load/requests.hpp"

#include "load/pattern.hpp"
#include "wire/msgpack_writer.hpp"

#include <string_view>

namespace lmcache::load {
namespace {

using wire::MsgpackWriter;

constexpr std::uint64_t kVocabulary = 129'280;

}  // namespace

wire::Bytes encode_key(const SequenceKey& key, std::optional<std::int64_t> rank) {
  MsgpackWriter out;
  out.map(10).string("model_name").string(key.model);
  out.string("world_size").integer(1).string("worker_id");
  rank ? out.integer(*rank) : out.nil();
  out.string("token_ids").integers(key.tokens);
  out.string("start").integer(0);
  out.string("end").integer(static_cast<std::int64_t>(key.tokens.size()));
  out.string("request_id").string(key.request_id).string("cache_salt").string("");
  out.string("request_configs").nil().string("num_kv_readers").integer(1);
  return out.bytes();
}

Frames store_frames(const SequenceKey& key, std::int64_t instance, const wire::Bytes& block_ids,
                    wire::ByteView event) {
  return {encode_key(key, 0), encode_integer(instance), block_ids,
          MsgpackWriter().binary(event).bytes()};
}

Frames retrieve_frames(const SequenceKey& key, std::int64_t instance, const wire::Bytes& block_ids,
                       wire::ByteView event) {
  Frames frames = store_frames(key, instance, block_ids, event);
  frames.push_back(encode_integer(0));  // tokens to skip
  return frames;
}

Frames lookup_frames(const SequenceKey& key) {
  return {encode_key(key, std::nullopt), encode_integer(1)};
}

Frames wait_frames(const std::string& request_id, double seconds) {
  return {encode_string(request_id), MsgpackWriter().real(seconds).bytes()};
}

wire::Bytes encode_integer(std::int64_t value) {
  return MsgpackWriter().integer(value).bytes();
}

wire::Bytes encode_string(std::string_view value) {
  return MsgpackWriter().string(value).bytes();
}

wire::Bytes encode_boolean(bool value) {
  return MsgpackWriter().boolean(value).bytes();
}

std::vector<std::uint32_t> tokens_of(std::uint64_t seed, std::size_t count) {
  std::vector<std::uint32_t> out(count);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = static_cast<std::uint32_t>(seed_of(seed, i) % kVocabulary);
  return out;
}

}  // namespace lmcache::load
