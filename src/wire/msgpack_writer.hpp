// Writes MessagePack values, always in the shortest form, as the client's own encoder does. What a
// reply has needs no memory of its own.
#pragma once

#include "wire/message.hpp"

#include <cstdint>
#include <iterator>
#include <string_view>

namespace lmcache::wire {

class MsgpackWriter {
 public:
  MsgpackWriter& nil();
  MsgpackWriter& boolean(bool value);
  MsgpackWriter& integer(std::int64_t value);
  MsgpackWriter& string(std::string_view value);
  MsgpackWriter& binary(ByteView value);
  MsgpackWriter& real(double value);
  MsgpackWriter& array(std::uint32_t count);
  MsgpackWriter& map(std::uint32_t count);
  MsgpackWriter& ext(std::int8_t type, ByteView data);
  /// An array of integers.
  template <class Range>
  MsgpackWriter& integers(const Range& values) {
    array(static_cast<std::uint32_t>(std::size(values)));
    for (const auto value : values) integer(static_cast<std::int64_t>(value));
    return *this;
  }
  /// Valid until the next call of anything else.
  [[nodiscard]] ByteView view() const noexcept { return out_; }
  [[nodiscard]] Bytes bytes() const { return {out_.begin(), out_.end()}; }

 private:
  void byte(unsigned value) { out_.push_back(static_cast<std::byte>(value)); }
  void big_endian(std::uint64_t value, unsigned bytes);
  boost::container::small_vector<std::byte, 128> out_;
};

}  // namespace lmcache::wire
