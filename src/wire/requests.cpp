#include "wire/requests.hpp"

#include "wire/msgpack_reader.hpp"

#include <algorithm>
#include <cmath>

namespace lmcache::wire {
namespace {

Error malformed(std::string_view where, const MsgpackReader& in) {
  return {Cause::kMalformed,
          std::string(where) + ": " + std::string(in.failed() ? in.error() : "malformed value")};
}

Error malformed(std::string text) {
  return {Cause::kMalformed, std::move(text)};
}

bool read_bounded_string(MsgpackReader& in, std::string& out, std::size_t bytes_max) {
  std::string_view text;
  if (!in.read_string(text)) return false;
  if (text.size() > bytes_max) return in.fail("a string is too long");
  out = std::string(text);
  return true;
}

std::size_t utf8_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

bool read_tokens(MsgpackReader& in, TokenListPtr& out, KnownTokens* known) {
  const ByteView data = in.rest();
  if (known != nullptr && !in.failed()) {
    if (KnownTokens::Match match = known->find(data); match.tokens) {
      out = std::move(match.tokens);
      in.pass(match.bytes);
      return true;
    }
  }
  std::size_t count = 0;
  if (!in.read_array(count)) return false;
  if (count > kTokensMax) return in.fail("more tokens than a request may carry");
  auto tokens = std::make_shared<TokenIds>(count);
  if (!in.read_u32_big_endian(*tokens)) return false;
  out = std::move(tokens);
  if (known != nullptr) known->put(data.first(data.size() - in.rest().size()), out);
  return true;
}

bool read_unsigned(MsgpackReader& in, std::uint64_t& out) {
  std::int64_t value = 0;
  if (!in.read_int(value)) return false;
  if (value < 0) return in.fail("a token position is negative");
  out = static_cast<std::uint64_t>(value);
  return true;
}

bool read_salt(MsgpackReader& in, std::string& out) {
  constexpr std::string_view kForbidden{"@/\\\0", 4};
  std::string_view text;
  if (!in.read_string(text)) return false;
  if (utf8_characters(text) > kSaltCharactersMax)
    return in.fail("cache_salt is longer than 128 characters");
  if (text.find_first_of(kForbidden) != std::string_view::npos)
    return in.fail("cache_salt contains one of @ / \\ NUL");
  out = std::string(text);
  return true;
}

bool read_model(MsgpackReader& in, std::string& out) {
  if (!read_bounded_string(in, out, kNameBytesMax)) return false;
  return out.find('@') == std::string::npos || in.fail("model_name contains @");
}

bool read_world_size(MsgpackReader& in, std::uint32_t& out) {
  std::int64_t value = 0;
  if (!in.read_int(value)) return false;
  if (value < 1 || value > std::int64_t{kWorldSizeMax})
    return in.fail("world_size is outside 1..4096");
  out = static_cast<std::uint32_t>(value);
  return true;
}

// Absent from older clients: one reader. The reference clamps to the same upper bound.
bool read_readers(MsgpackReader& in, std::uint32_t& out) {
  std::int64_t value = 0;
  if (!in.read_int(value)) return false;
  if (value < 0) return in.fail("num_kv_readers is negative");
  out = static_cast<std::uint32_t>(std::clamp<std::int64_t>(value, 1, kReadersMax));
  return true;
}

enum KeyField : unsigned {
  kModel = 1,
  kWorld = 2,
  kWorker = 4,
  kTokens = 8,
  kStart = 16,
  kEnd = 32,
  kRequest = 64
};
constexpr unsigned kRequiredKeyFields = 127;

/// A key in the making. worker_id can be judged only once world_size is known, which may come
/// later.
struct KeyFields {
  Key key;
  KnownTokens* known = nullptr;
  std::int64_t worker = 0;
  bool has_worker = false;
  unsigned seen = 0;
};

bool read_key_field(MsgpackReader& in, std::string_view name, KeyFields& fields) {
  Key& key = fields.key;
  unsigned& seen = fields.seen;
  if (name == "model_name") return seen |= kModel, read_model(in, key.keyspace.model);
  if (name == "world_size") return seen |= kWorld, read_world_size(in, key.keyspace.world_size);
  if (name == "worker_id") {
    seen |= kWorker;
    fields.has_worker = !in.read_nil_if_present();
    return !fields.has_worker || in.read_int(fields.worker);
  }
  if (name == "token_ids") return seen |= kTokens, read_tokens(in, key.tokens, fields.known);
  if (name == "start") return seen |= kStart, read_unsigned(in, key.start);
  if (name == "end") return seen |= kEnd, read_unsigned(in, key.end);
  if (name == "request_id")
    return seen |= kRequest, read_bounded_string(in, key.request_id, kNameBytesMax);
  if (name == "cache_salt") return read_salt(in, key.keyspace.salt);
  if (name == "num_kv_readers") return read_readers(in, key.num_kv_readers);
  return in.skip();
}

bool read_hint(MsgpackReader& in, std::string_view name, LayoutHints& out) {
  const auto text = [&](std::optional<std::string>& to) {
    std::string value;
    if (in.read_nil_if_present()) return true;
    if (!read_bounded_string(in, value, 64)) return false;
    to = std::move(value);
    return true;
  };
  const auto number = [&](std::optional<std::int64_t>& to) {
    std::int64_t value = 0;
    if (in.read_nil_if_present()) return true;
    if (!in.read_int(value)) return false;
    to = value;
    return true;
  };
  if (name == "kv_layout") return text(out.kv_layout);
  if (name == "kv_list_layout") return text(out.kv_list_layout);
  if (name == "num_kv_heads") return number(out.num_kv_heads);
  if (name == "tokens_per_block") return number(out.tokens_per_block);
  if (name == "head_dim") return number(out.head_dim);
  return in.skip();
}

/// At most `max` of them: each takes eight bytes for one that has arrived.
bool read_indices(MsgpackReader& in, std::vector<std::int64_t>& out, std::size_t max) {
  std::size_t count = 0;
  if (!in.read_array(count)) return false;
  if (count > max) return in.fail("more elements than there may be");
  out.resize(count);
  return in.read_ints(out);
}

bool read_group(MsgpackReader& in, GroupInfo& out) {
  std::size_t entries = 0;
  if (!in.read_map(entries)) return false;
  bool id_seen = false;
  for (; entries > 0; --entries) {
    std::string_view name;
    if (!in.read_string(name)) return false;
    bool ok = true;
    if (name == "engine_group_id") {
      ok = id_seen = in.read_int(out.engine_group_id);
    } else if (name == "layer_indices") {
      ok = read_indices(in, out.layer_indices, kMaxTensors);
    } else if (name == "tokens_per_block") {
      ok = in.read_int(out.tokens_per_block);
    } else if (name == "sw_size_tokens") {
      ok = in.read_int(out.sw_size_tokens);
    } else if (name == "extra_object_group_tag") {
      ok = in.read_int(out.extra_object_group_tag);
    } else if (name == "recurrent_state") {
      ok = in.read_bool(out.recurrent_state);
    } else {
      ok = in.skip();
    }
    if (!ok) return false;
  }
  return id_seen || in.fail("engine_group_id is missing");
}

Result<std::vector<Descriptor>> decode_tensors(ByteView frame) {
  MsgpackReader in(frame);
  std::size_t count = 0;
  if (!in.read_array(count)) return malformed("kv_cache", in);
  if (count > kMaxTensors) return malformed("kv_cache: more tensors than a worker may register");
  std::vector<Descriptor> out;
  for (; count > 0; --count) {
    constexpr std::int8_t kDeviceWrapper = 1;
    std::int8_t type = 0;
    ByteView data;
    if (!in.read_ext(type, data)) return malformed("kv_cache", in);
    if (type != kDeviceWrapper)
      return malformed("kv_cache: an element is not a device descriptor (extension type 1)");
    auto descriptor = decode_descriptor(data);
    if (!descriptor) return descriptor.error();
    out.push_back(std::move(*descriptor));
  }
  if (!in.finished()) return malformed("kv_cache", in);
  return out;
}

Result<EngineType> decode_engine(ByteView frame) {
  MsgpackReader in(frame);
  std::string_view name;
  if (!in.read_string(name) || !in.finished()) return malformed("engine_type", in);
  if (name == "vllm") return EngineType::kVllm;
  if (name == "atom") return EngineType::kAtom;
  if (name == "sglang") return EngineType::kSglang;
  if (name == "trtllm") return EngineType::kTrtllm;
  if (name == "mock") return EngineType::kMock;
  return malformed("engine_type must be one of vllm, atom, sglang, trtllm, mock");
}

Result<LayoutHints> decode_hints(ByteView frame) {
  MsgpackReader in(frame);
  LayoutHints out;
  std::size_t entries = 0;
  if (!in.read_map(entries)) return malformed("layout_hints", in);
  for (; entries > 0; --entries) {
    std::string_view name;
    if (!in.read_string(name) || !read_hint(in, name, out)) return malformed("layout_hints", in);
  }
  if (!in.finished()) return malformed("layout_hints", in);
  return out;
}

Result<std::vector<GroupInfo>> decode_groups(ByteView frame) {
  MsgpackReader in(frame);
  std::size_t count = 0;
  if (!in.read_array(count)) return malformed("engine_group_infos", in);
  if (count > kGroupsMax)
    return malformed("engine_group_infos: more groups than an engine can have");
  std::vector<GroupInfo> out;
  for (; count > 0; --count) {
    if (!read_group(in, out.emplace_back())) return malformed("engine_group_infos", in);
  }
  if (!in.finished()) return malformed("engine_group_infos", in);
  return out;
}

Result<std::vector<std::vector<std::int64_t>>> decode_block_ids(ByteView frame) {
  MsgpackReader in(frame);
  std::size_t lists = 0;
  if (!in.read_array(lists)) return malformed("block_ids", in);
  if (lists > kGroupsMax) return malformed("block_ids: more lists than an engine can have groups");
  std::vector<std::vector<std::int64_t>> out;
  std::size_t ids = 0;
  for (; lists > 0; --lists) {
    if (!read_indices(in, out.emplace_back(), kBlockIdsMax - ids))
      return malformed("block_ids", in);
    ids += out.back().size();
  }
  if (!in.finished()) return malformed("block_ids", in);
  return out;
}

Result<ByteView> decode_event(ByteView frame) {
  MsgpackReader in(frame);
  ByteView out;
  if (!in.read_binary(out) || !in.finished()) return malformed("event handle", in);
  // The longest there is has 81 bytes; a failure hands it back, so none may be long.
  constexpr std::size_t kEventBytesMax = 4096;
  if (out.size() > kEventBytesMax)
    return Error{Cause::kMalformed, "an event handle of " + std::to_string(out.size()) + " bytes"};
  return out;
}

/// The four payload frames that store and retrieve share.
template <class Request>
Result<Request> decode_transfer(const Message& message, KnownTokens* known) {
  Request out;
  auto key = decode_key(message.frame(kFirstPayload), known);
  if (!key) return key.error();
  auto instance = decode_instance(message.frame(kFirstPayload + 1));
  if (!instance) return instance.error();
  auto ids = decode_block_ids(message.frame(kFirstPayload + 2));
  if (!ids) return ids.error();
  auto event = decode_event(message.frame(kFirstPayload + 3));
  if (!event) return event.error();
  out.key = std::move(*key);
  out.instance = *instance;
  out.block_ids = std::move(*ids);
  out.event = *event;
  return out;
}

}  // namespace

Result<Key> decode_key(ByteView frame, KnownTokens* known) {
  MsgpackReader in(frame);
  KeyFields fields;
  fields.known = known;
  std::size_t entries = 0;
  if (!in.read_map(entries)) return malformed("key", in);
  for (; entries > 0; --entries) {
    std::string_view name;
    if (!in.read_string(name)) return malformed("key", in);
    if (!read_key_field(in, name, fields)) {
      return malformed("key field '" + std::string(name.substr(0, 32)) + "'", in);
    }
  }
  if (!in.finished()) return malformed("key", in);
  if (fields.seen != kRequiredKeyFields)
    return malformed("key: a field without default is missing");
  Key& key = fields.key;
  if (fields.has_worker) {
    if (fields.worker < 0 || fields.worker >= std::int64_t{key.keyspace.world_size}) {
      return Error{Cause::kBadRange,
                   "worker_id " + std::to_string(fields.worker) + " is outside 0.." +
                       std::to_string(key.keyspace.world_size - 1) + " (world_size - 1)"};
    }
    key.worker_id = static_cast<std::uint32_t>(fields.worker);
  }
  return std::move(key);
}

Result<RegisterRequest> decode_register(const Message& message) {
  RegisterRequest out;
  auto instance = decode_instance(message.frame(kFirstPayload));
  if (!instance) return instance.error();
  out.instance = *instance;
  auto tensors = decode_tensors(message.frame(kFirstPayload + 1));
  if (!tensors) return tensors.error();
  out.tensors = std::move(*tensors);
  MsgpackReader model(message.frame(kFirstPayload + 2));
  if (!read_model(model, out.model) || !model.finished()) return malformed("model_name", model);
  MsgpackReader world(message.frame(kFirstPayload + 3));
  if (!read_world_size(world, out.world_size) || !world.finished())
    return malformed("world_size", world);
  auto engine = decode_engine(message.frame(kFirstPayload + 4));
  if (!engine) return engine.error();
  out.engine = *engine;
  auto hints = decode_hints(message.frame(kFirstPayload + 5));
  if (!hints) return hints.error();
  out.hints = std::move(*hints);
  auto groups = decode_groups(message.frame(kFirstPayload + 6));
  if (!groups) return groups.error();
  out.groups = std::move(*groups);
  return out;
}

Result<TransferPreview> preview_transfer(const Message& message) {
  TransferPreview out;
  auto instance = decode_instance(message.frame(kFirstPayload + 1));
  if (!instance) return instance.error();
  out.instance = *instance;
  MsgpackReader ids(message.frame(kFirstPayload + 2));
  std::size_t lists = 0;
  if (!ids.read_array(lists) || (lists > 0 && !ids.read_array(out.first_ids)))
    return malformed("block_ids", ids);
  auto event = decode_event(message.frame(kFirstPayload + 3));
  if (!event) return event.error();
  out.event = *event;
  return out;
}

Result<StoreRequest> decode_store(const Message& message, KnownTokens* known) {
  return decode_transfer<StoreRequest>(message, known);
}

Result<RetrieveRequest> decode_retrieve(const Message& message, KnownTokens* known) {
  auto out = decode_transfer<RetrieveRequest>(message, known);
  if (!out) return out;
  MsgpackReader skip(message.frame(kFirstPayload + 4));
  if (!read_unsigned(skip, out->skip_first_n_tokens) || !skip.finished())
    return malformed("skip_first_n_tokens", skip);
  return out;
}

Result<WaitRequest> decode_wait(const Message& message) {
  WaitRequest out;
  auto id = decode_request_id(message.frame(kFirstPayload));
  if (!id) return id.error();
  out.request_id = std::move(*id);
  MsgpackReader in(message.frame(kFirstPayload + 1));
  double seconds = 0;
  if (!in.read_double(seconds) || !in.finished()) return malformed("timeout", in);
  constexpr double kDay = 86400;  // longer than any engine waits, short enough for every clock
  if (std::isnan(seconds)) return malformed("timeout: not a number");
  out.timeout =
      std::chrono::milliseconds(static_cast<std::int64_t>(std::clamp(seconds, 0.0, kDay) * 1000));
  return out;
}

Result<std::string> decode_request_id(ByteView frame) {
  MsgpackReader in(frame);
  std::string out;
  if (!read_bounded_string(in, out, kNameBytesMax) || !in.finished())
    return malformed("request_id", in);
  return out;
}

Result<InstanceId> decode_instance(ByteView frame) {
  MsgpackReader in(frame);
  InstanceId out = 0;
  if (!in.read_int(out) || !in.finished()) return malformed("instance_id", in);
  return out;
}

Result<std::optional<InstanceId>> decode_optional_instance(ByteView frame) {
  MsgpackReader in(frame);
  if (in.read_nil_if_present()) {
    if (!in.finished()) return malformed("instance_id", in);
    return std::optional<InstanceId>{};
  }
  auto id = decode_instance(frame);
  if (!id) return id.error();
  return std::optional<InstanceId>{*id};
}

Result<bool> decode_bool(ByteView frame) {
  MsgpackReader in(frame);
  bool out = false;
  if (!in.read_bool(out) || !in.finished()) return malformed("boolean argument", in);
  return out;
}

Status check_block_allocation(const Message& message) {
  auto instance = decode_instance(message.frame(kFirstPayload));
  if (!instance) return instance.error();
  MsgpackReader model(message.frame(kFirstPayload + 1));
  std::string_view name;
  if (!model.read_string(name) || !model.finished()) return malformed("model_name", model);
  MsgpackReader records(message.frame(kFirstPayload + 2));
  std::size_t count = 0;
  if (!records.read_array(count)) return malformed("records", records);
  for (; count > 0; --count) {
    if (!records.skip()) return malformed("records", records);
  }
  if (!records.finished()) return malformed("records", records);
  return {};
}

}  // namespace lmcache::wire
