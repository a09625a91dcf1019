// Appends MessagePack values to a byte vector, always in the shortest form, as the client's own
// encoder does.
#pragma once

#include "wire/message.hpp"

#include <cstdint>
#include <string_view>

namespace lmcache::wire {

class MsgpackWriter {
 public:
  MsgpackWriter& nil();
  MsgpackWriter& boolean(bool value);
  MsgpackWriter& integer(std::int64_t value);
  MsgpackWriter& string(std::string_view value);
  MsgpackWriter& binary(ByteView value);
  MsgpackWriter& array(std::uint32_t count);
  [[nodiscard]] Bytes take() && noexcept { return std::move(out_); }

 private:
  void byte(unsigned value) { out_.push_back(static_cast<std::byte>(value)); }
  void big_endian(std::uint64_t value, unsigned bytes);
  Bytes out_;
};

}  // namespace lmcache::wire
