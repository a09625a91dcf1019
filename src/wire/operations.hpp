// Every operation of the protocol, whether served here or not: its number, name, payload frames,
// and how a failure is told.
#pragma once

#include "wire/message.hpp"

#include <cstdint>
#include <span>
#include <string_view>

namespace lmcache::wire {

/// Values of the 32 frozen operations are their ids on the wire; newer ones are known by name only.
enum class Op : std::uint8_t {
  kRegisterKvCache = 1,
  kUnregisterKvCache = 2,
  kRegisterQCache = 3,
  kUnregisterQCache = 4,
  kStoreQ = 5,
  kStore = 6,
  kRetrieve = 7,
  kLookup = 8,
  kQueryPrefetchStatus = 9,
  kWaitPrefetchStatus = 10,
  kFreeLookupLocks = 12,
  kEndSession = 13,
  kRegisterEngineDriven = 14,
  kUnregisterEngineDriven = 15,
  kPrepareStore = 16,
  kCommitStore = 17,
  kPrepareRetrieve = 18,
  kCommitRetrieve = 19,
  kClear = 20,
  kGetChunkSize = 21,
  kPing = 22,
  kReportBlockAllocation = 23,
  kNoop = 24,
  kCbRegisterRope = 25,
  kCbUnregisterRope = 26,
  kCbRetrievePreComputed = 27,
  kCbUnifiedLookup = 28,
  kP2pLookupAndLock = 29,
  kP2pQueryLookupResults = 30,
  kP2pUnlockObjects = 31,
  kGetExperimental = 32,
  kCbProtocolHandshake = 33,
  kCbReorderPlan = 64,
  kSubscribeKvEvents = 65,
  kServerModuleCall = 66,
};

/// What a failed request is answered with. Where the engine's step loop waits, an exception would
/// take the engine down, so those calls get their normal reply with the value that means failure;
/// everywhere else the operation frame carries the error text, which completes the client's future
/// with an exception naming it.
enum class FailureReply : std::uint8_t {
  kErrorText,  ///< [uid, text]
  kNone,       ///< [uid, op]
  kZero,       ///< [uid, op, 0]
  kFalsePair,  ///< [uid, op, [empty bin, false]]
};

struct Operation {
  Op op;
  std::string_view name;
  std::uint8_t payload_frames;
  bool served;
  FailureReply failure;
};

/// All operations, by ascending Op.
[[nodiscard]] std::span<const Operation> all_operations() noexcept;

/// Finds the operation an operation frame (MessagePack int or string) names; nullptr if there is
/// none such.
[[nodiscard]] const Operation* find_operation(ByteView frame) noexcept;

}  // namespace lmcache::wire
