#include "wire/msgpack_writer.hpp"

#include <bit>

namespace lmcache::wire {

void MsgpackWriter::big_endian(std::uint64_t value, unsigned bytes) {
  for (unsigned shift = bytes * 8; shift > 0; shift -= 8) {
    byte(static_cast<unsigned>((value >> (shift - 8)) & 0xff));
  }
}

MsgpackWriter& MsgpackWriter::nil() {
  byte(0xc0);
  return *this;
}

MsgpackWriter& MsgpackWriter::boolean(bool value) {
  byte(value ? 0xc3 : 0xc2);
  return *this;
}

MsgpackWriter& MsgpackWriter::integer(std::int64_t value) {
  const auto bits = static_cast<std::uint64_t>(value);
  if (value >= 0) {
    if (value < 0x80) {
      byte(static_cast<unsigned>(value));
    } else if (value <= 0xff) {
      byte(0xcc), big_endian(bits, 1);
    } else if (value <= 0xffff) {
      byte(0xcd), big_endian(bits, 2);
    } else if (value <= 0xffffffff) {
      byte(0xce), big_endian(bits, 4);
    } else {
      byte(0xcf), big_endian(bits, 8);
    }
  } else if (value >= -32) {
    byte(static_cast<unsigned>(bits & 0xff));
  } else if (value >= -0x80) {
    byte(0xd0), big_endian(bits, 1);
  } else if (value >= -0x8000) {
    byte(0xd1), big_endian(bits, 2);
  } else if (value >= -0x80000000ll) {
    byte(0xd2), big_endian(bits, 4);
  } else {
    byte(0xd3), big_endian(bits, 8);
  }
  return *this;
}

MsgpackWriter& MsgpackWriter::string(std::string_view value) {
  const auto n = value.size();
  if (n < 32) {
    byte(0xa0u | static_cast<unsigned>(n));
  } else if (n <= 0xff) {
    byte(0xd9), big_endian(n, 1);
  } else if (n <= 0xffff) {
    byte(0xda), big_endian(n, 2);
  } else {
    byte(0xdb), big_endian(n, 4);
  }
  const auto* p = reinterpret_cast<const std::byte*>(value.data());
  out_.insert(out_.end(), p, p + n);
  return *this;
}

MsgpackWriter& MsgpackWriter::binary(ByteView value) {
  const auto n = value.size();
  if (n <= 0xff) {
    byte(0xc4), big_endian(n, 1);
  } else if (n <= 0xffff) {
    byte(0xc5), big_endian(n, 2);
  } else {
    byte(0xc6), big_endian(n, 4);
  }
  out_.insert(out_.end(), value.begin(), value.end());
  return *this;
}

MsgpackWriter& MsgpackWriter::real(double value) {
  byte(0xcb), big_endian(std::bit_cast<std::uint64_t>(value), 8);
  return *this;
}

MsgpackWriter& MsgpackWriter::array(std::uint32_t count) {
  if (count < 16) {
    byte(0x90u | count);
  } else if (count <= 0xffff) {
    byte(0xdc), big_endian(count, 2);
  } else {
    byte(0xdd), big_endian(count, 4);
  }
  return *this;
}

MsgpackWriter& MsgpackWriter::map(std::uint32_t count) {
  if (count < 16) {
    byte(0x80u | count);
  } else if (count <= 0xffff) {
    byte(0xde), big_endian(count, 2);
  } else {
    byte(0xdf), big_endian(count, 4);
  }
  return *this;
}

MsgpackWriter& MsgpackWriter::ext(std::int8_t type, ByteView data) {
  const auto n = data.size();
  if (n <= 0xff) {
    byte(0xc7), big_endian(n, 1);
  } else if (n <= 0xffff) {
    byte(0xc8), big_endian(n, 2);
  } else {
    byte(0xc9), big_endian(n, 4);
  }
  out_.push_back(static_cast<std::byte>(type));
  out_.insert(out_.end(), data.begin(), data.end());
  return *this;
}

}  // namespace lmcache::wire
