#include <lmcache/status.hpp>

namespace lmcache {

std::string_view to_string(Cause cause) noexcept {
  switch (cause) {
    case Cause::kMalformed:
      return "malformed";
    case Cause::kUnknownOperation:
      return "unknown_operation";
    case Cause::kNotServed:
      return "not_served";
    case Cause::kUnknownInstance:
      return "unknown_instance";
    case Cause::kBadRange:
      return "bad_range";
    case Cause::kBadBlockIds:
      return "bad_block_ids";
    case Cause::kBadGeometry:
      return "bad_geometry";
    case Cause::kBadSegment:
      return "bad_segment";
    case Cause::kNotLeased:
      return "not_leased";
    case Cause::kNoMemory:
      return "no_memory";
    case Cause::kCopyFailed:
      return "copy_failed";
    case Cause::kTimeout:
      return "timeout";
    case Cause::kStopping:
      return "stopping";
    case Cause::kInternal:
      return "internal";
  }
  return "internal";  // a value that no enumerator has
}

}  // namespace lmcache
