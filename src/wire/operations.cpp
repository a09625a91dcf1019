#include "wire/operations.hpp"

#include "wire/msgpack_reader.hpp"

#include <algorithm>
#include <array>

namespace lmcache::wire {
namespace {

using enum FailureReply;

constexpr bool kServed = true, kNotServed = false;

constexpr std::array kOperations = {
    Operation{Op::kRegisterKvCache, "register_kv_cache", 7, kServed, kErrorText},
    // An exception here would surface while an engine shuts down; there is nothing it could do
    // about it.
    Operation{Op::kUnregisterKvCache, "unregister_kv_cache", 1, kServed, kNone},
    Operation{Op::kRegisterQCache, "register_q_cache", 7, kNotServed, kErrorText},
    Operation{Op::kUnregisterQCache, "unregister_q_cache", 1, kNotServed, kErrorText},
    Operation{Op::kStoreQ, "store_q", 4, kNotServed, kErrorText},
    Operation{Op::kStore, "store", 4, kServed, kFalsePair},
    Operation{Op::kRetrieve, "retrieve", 5, kServed, kFalsePair},
    Operation{Op::kLookup, "lookup", 2, kServed, kNone},
    Operation{Op::kQueryPrefetchStatus, "query_prefetch_status", 1, kServed, kZero},
    Operation{Op::kWaitPrefetchStatus, "wait_prefetch_status", 2, kServed, kZero},
    Operation{Op::kFreeLookupLocks, "free_lookup_locks", 2, kServed, kErrorText},
    Operation{Op::kEndSession, "end_session", 1, kServed, kErrorText},
    Operation{Op::kRegisterEngineDriven, "register_kv_cache_engine_driven_context", 1, kNotServed,
              kErrorText},
    Operation{Op::kUnregisterEngineDriven, "unregister_kv_cache_engine_driven_context", 1,
              kNotServed, kErrorText},
    Operation{Op::kPrepareStore, "prepare_store", 2, kNotServed, kErrorText},
    Operation{Op::kCommitStore, "commit_store", 3, kNotServed, kErrorText},
    Operation{Op::kPrepareRetrieve, "prepare_retrieve", 2, kNotServed, kErrorText},
    Operation{Op::kCommitRetrieve, "commit_retrieve", 2, kNotServed, kErrorText},
    Operation{Op::kClear, "clear", 1, kServed, kErrorText},
    Operation{Op::kGetChunkSize, "get_chunk_size", 0, kServed, kErrorText},
    Operation{Op::kPing, "ping", 1, kServed, kErrorText},
    Operation{Op::kReportBlockAllocation, "report_block_allocation", 3, kServed, kErrorText},
    Operation{Op::kNoop, "noop", 0, kServed, kErrorText},
    Operation{Op::kCbRegisterRope, "cb_register_rope", 8, kNotServed, kErrorText},
    Operation{Op::kCbUnregisterRope, "cb_unregister_rope", 1, kNotServed, kErrorText},
    Operation{Op::kCbRetrievePreComputed, "cb_retrieve_pre_computed", 5, kNotServed, kErrorText},
    Operation{Op::kCbUnifiedLookup, "cb_unified_lookup", 2, kNotServed, kErrorText},
    Operation{Op::kP2pLookupAndLock, "p2p_lookup_and_lock", 2, kNotServed, kErrorText},
    Operation{Op::kP2pQueryLookupResults, "p2p_query_lookup_results", 1, kNotServed, kErrorText},
    Operation{Op::kP2pUnlockObjects, "p2p_unlock_objects", 1, kNotServed, kErrorText},
    Operation{Op::kGetExperimental, "get_experimental", 0, kServed, kErrorText},
    Operation{Op::kCbProtocolHandshake, "cb_protocol_handshake", 1, kNotServed, kErrorText},
    Operation{Op::kCbReorderPlan, "cb_reorder_plan", 3, kNotServed, kErrorText},
    Operation{Op::kSubscribeKvEvents, "subscribe_kv_events", 4, kNotServed, kErrorText},
    Operation{Op::kServerModuleCall, "server_module_call", 1, kNotServed, kErrorText},
};

constexpr std::int64_t kLastNumbered = 33;

/// By the number on the wire; nullptr where there is none.
constexpr auto kByNumber = [] {
  std::array<const Operation*, kLastNumbered + 1> table{};
  for (const Operation& operation : kOperations) {
    const auto number = static_cast<std::size_t>(operation.op);
    if (number < table.size()) table[number] = &operation;
  }
  return table;
}();

}  // namespace

std::span<const Operation> all_operations() noexcept {
  return kOperations;
}

const Operation* find_operation(ByteView frame) noexcept {
  constexpr std::size_t kFrameBytesMax =
      64;  // longer than any name: not worth reading, it may be megabytes
  if (frame.size() > kFrameBytesMax) return nullptr;
  MsgpackReader number(frame);
  if (std::int64_t id = 0; number.read_int(id)) {
    if (!number.finished() || id < 0 || id > kLastNumbered) return nullptr;
    return kByNumber[static_cast<std::size_t>(id)];
  }
  MsgpackReader text(frame);
  if (std::string_view name; text.read_string(name) && text.finished()) {
    const auto* const found = std::ranges::find(kOperations, name, &Operation::name);
    return found == kOperations.end() ? nullptr : found;
  }
  return nullptr;
}

}  // namespace lmcache::wire
