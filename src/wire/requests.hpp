// Typed requests and their decoders. A decoder takes the payload frames of one message and gives
// the request or an Error (kMalformed, kBadRange) that says which field is wrong. Views in a
// request point into the message, which must outlive it; nothing here touches server state.
#pragma once

#include "wire/descriptors.hpp"
#include "wire/known_tokens.hpp"
#include "wire/message.hpp"

#include <lmcache/cache.hpp>
#include <lmcache/geometry.hpp>
#include <lmcache/status.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lmcache::wire {

using InstanceId = std::int64_t;

/// IPCCacheServerKey: what a call is about. Ranges are not checked against the token list or the
/// chunk size.
struct Key {
  Keyspace keyspace;                       ///< model_name, cache_salt, world_size
  std::optional<std::uint32_t> worker_id;  ///< < world_size; absent from a scheduler
  TokenListPtr tokens;                     ///< never nullptr once decoded
  std::uint64_t start = 0, end = 0;        ///< tokens; not yet compared with the token list
  std::string request_id;
  std::uint32_t num_kv_readers = 1;  ///< 1..128; 0 ("not sent") counts as 1
};

inline constexpr std::uint32_t kWorldSizeMax = 4096;
inline constexpr std::size_t kNameBytesMax = 4096;  ///< model_name, request_id
inline constexpr std::size_t kSaltCharactersMax = 128;
inline constexpr std::uint32_t kReadersMax = 128;
// Decoded values are larger than their bytes on the wire (4 and 8 bytes for what may have been 1),
// so counts have limits of their own.
inline constexpr std::size_t kTokensMax = std::size_t{1} << 24;
inline constexpr std::size_t kBlockIdsMax = std::size_t{1}
                                            << 22;  ///< of all lists of a request together
inline constexpr std::size_t kGroupsMax = 4096;

struct RegisterRequest {
  InstanceId instance = 0;
  std::vector<Descriptor> tensors;
  std::string model;
  std::uint32_t world_size = 1;
  EngineType engine = EngineType::kVllm;
  LayoutHints hints;
  std::vector<GroupInfo> groups;
};

struct StoreRequest {
  Key key;
  InstanceId instance = 0;
  std::vector<std::vector<std::int64_t>> block_ids;
  ByteView event;
};

struct RetrieveRequest {
  Key key;
  InstanceId instance = 0;
  std::vector<std::vector<std::int64_t>> block_ids;
  ByteView event;
  std::uint64_t skip_first_n_tokens = 0;
};

struct WaitRequest {
  std::string request_id;
  std::chrono::milliseconds timeout{0};
};

/// What the small frames of a store or retrieve say: its key, which may be long, is not read.
struct TransferPreview {
  InstanceId instance = 0;
  std::size_t first_ids = 0;  ///< block ids in the first group's list, as announced
  ByteView event;
};

/// First payload frame of a message: uid and operation come before.
inline constexpr std::size_t kFirstPayload = 2;

[[nodiscard]] Result<RegisterRequest> decode_register(const Message& message);
/// Of a message with a transfer's frames. What it gives is not checked beyond its own frames.
[[nodiscard]] Result<TransferPreview> preview_transfer(const Message& message);
/// `known`: where token lists are looked for and kept; nullptr: nowhere.
[[nodiscard]] Result<StoreRequest> decode_store(const Message& message,
                                                KnownTokens* known = nullptr);
[[nodiscard]] Result<RetrieveRequest> decode_retrieve(const Message& message,
                                                      KnownTokens* known = nullptr);
[[nodiscard]] Result<Key> decode_key(ByteView frame, KnownTokens* known = nullptr);
[[nodiscard]] Result<WaitRequest> decode_wait(const Message& message);
[[nodiscard]] Result<std::string> decode_request_id(ByteView frame);
[[nodiscard]] Result<InstanceId> decode_instance(ByteView frame);
[[nodiscard]] Result<std::optional<InstanceId>> decode_optional_instance(ByteView frame);
[[nodiscard]] Result<bool> decode_bool(ByteView frame);
/// Telemetry that is acknowledged only; checked so that a malformed call is told so.
[[nodiscard]] Status check_block_allocation(const Message& message);

}  // namespace lmcache::wire
