// Expected failures are values: Result<T> carries either a T or an Error with a cause and one line
// of text. Exceptions are for start-up only; a broken invariant aborts.
#pragma once

#include <boost/system/result.hpp>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lmcache {

/// Why a request failed. One counter per (operation, cause); the names are part of the metrics.
enum class Cause : std::uint8_t {
  kMalformed,  ///< bytes that are not the protocol: bad MessagePack, wrong frame count, wrong type
  kUnknownOperation,  ///< no such operation id or name
  kNotServed,         ///< a known operation this server does not offer
  kUnknownInstance,   ///< store/retrieve of an engine that has not registered
  kBadRange,          ///< token range unaligned, reversed or beyond the token list
  kBadBlockIds,       ///< wrong number of lists, too short, not a whole chunk, id outside the pool
  kBadGeometry,       ///< tensors that no layout fits, or that disagree with the client's groups
  kBadSegment,        ///< shared memory or device memory that cannot be opened or is too small
  kNotLeased,         ///< a retrieve without a (remaining) lease of its own request
  kNoMemory,          ///< everything that is not leased would not make room
  kCopyFailed,        ///< the copy itself failed, e.g. the segment was shrunk by its owner
  kTimeout,           ///< waited longer than its TTL
  kStopping,          ///< the server is shutting down
  kInternal,          ///< a bug of ours; never caused by input
};

/// Stable snake_case name ("bad_block_ids").
[[nodiscard]] std::string_view to_string(Cause cause) noexcept;

struct Error {
  Cause cause = Cause::kInternal;
  std::string text;  ///< one line for the person who can act: what, found, allowed
};

/// Makes result.value() on an error throw; used at start-up and in tests only.
[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
  throw std::runtime_error(error.text);
}

template <class T>
using Result = boost::system::result<T, Error>;
using Status = boost::system::result<void, Error>;

}  // namespace lmcache
