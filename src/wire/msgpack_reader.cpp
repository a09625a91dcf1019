#include "wire/msgpack_reader.hpp"

#include "wire/token_window.hpp"

#include <bit>
#include <cstring>
#include <limits>

namespace lmcache::wire {
namespace {

constexpr std::uint8_t kNil = 0xc0, kFalse = 0xc2, kTrue = 0xc3;
constexpr std::uint8_t kBin8 = 0xc4, kBin32 = 0xc6, kExt8 = 0xc7, kExt32 = 0xc9;
constexpr std::uint8_t kFloat32 = 0xca, kFloat64 = 0xcb;
constexpr std::uint8_t kUint8 = 0xcc, kUint16 = 0xcd, kUint32 = 0xce, kUint64 = 0xcf;
constexpr std::uint8_t kInt8 = 0xd0, kInt16 = 0xd1, kInt32 = 0xd2, kInt64 = 0xd3;
constexpr std::uint8_t kFixExt1 = 0xd4, kFixExt16 = 0xd8;
constexpr std::uint8_t kStr8 = 0xd9, kStr32 = 0xdb;
constexpr std::uint8_t kArray16 = 0xdc, kArray32 = 0xdd, kMap16 = 0xde, kMap32 = 0xdf;

template <class T>
T load_big_endian(const std::byte* p) noexcept {
  std::make_unsigned_t<T> v = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    v = static_cast<std::make_unsigned_t<T>>((static_cast<std::uint64_t>(v) << 8) |
                                             std::to_integer<std::uint64_t>(p[i]));
  }
  return static_cast<T>(v);
}

constexpr std::uint32_t to_big_endian(std::uint32_t v) noexcept {
  return std::endian::native == std::endian::big ? v : __builtin_bswap32(v);
}

}  // namespace

bool MsgpackReader::fail(const char* what) noexcept {
  if (!error_) error_ = what;
  return false;
}

bool MsgpackReader::need(std::size_t bytes) noexcept {
  if (error_) return false;
  return bytes <= left() || fail("the frame ends inside a value");
}

template <class T>
bool MsgpackReader::take_big_endian(T& out) noexcept {
  if (!need(sizeof(T))) return false;
  out = load_big_endian<T>(data_.data() + at_);
  at_ += sizeof(T);
  return true;
}

// Lengths that follow a tag: `tag8` is the 8-bit form, tag8+1 the 16-bit and tag8+2 the 32-bit one.
bool MsgpackReader::take_length(std::uint8_t tag, std::uint8_t tag8, std::size_t& length) noexcept {
  if (tag == tag8) {
    std::uint8_t n = 0;
    if (!take_big_endian(n)) return false;
    length = n;
  } else if (tag == tag8 + 1) {
    std::uint16_t n = 0;
    if (!take_big_endian(n)) return false;
    length = n;
  } else {
    std::uint32_t n = 0;
    if (!take_big_endian(n)) return false;
    length = n;
  }
  return true;
}

bool MsgpackReader::take_view(std::size_t length, ByteView& out) noexcept {
  if (!need(length)) return false;
  out = data_.subspan(at_, length);
  at_ += length;
  return true;
}

bool MsgpackReader::read_nil_if_present() noexcept {
  if (error_ || left() == 0 || std::to_integer<std::uint8_t>(data_[at_]) != kNil) return false;
  ++at_;
  return true;
}

bool MsgpackReader::read_bool(bool& out) noexcept {
  std::uint8_t tag = 0;
  if (!take_big_endian(tag)) return false;
  if (tag != kTrue && tag != kFalse) return fail("expected a boolean");
  out = tag == kTrue;
  return true;
}

bool MsgpackReader::read_int(std::int64_t& out) noexcept {
  std::uint8_t tag = 0;
  if (!take_big_endian(tag)) return false;
  if (tag < 0x80 || tag >= 0xe0) {
    out = static_cast<std::int8_t>(tag);
    return true;
  }
  const auto read = [&]<class T>(T value) {
    if (!take_big_endian(value)) return false;
    if constexpr (std::is_same_v<T, std::uint64_t>) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        return fail("an integer is beyond 63 bits");
      }
    }
    out = static_cast<std::int64_t>(value);
    return true;
  };
  switch (tag) {
    case kUint8:
      return read(std::uint8_t{});
    case kUint16:
      return read(std::uint16_t{});
    case kUint32:
      return read(std::uint32_t{});
    case kUint64:
      return read(std::uint64_t{});
    case kInt8:
      return read(std::int8_t{});
    case kInt16:
      return read(std::int16_t{});
    case kInt32:
      return read(std::int32_t{});
    case kInt64:
      return read(std::int64_t{});
    default:
      return fail("expected an integer");
  }
}

bool MsgpackReader::read_double(double& out) noexcept {
  if (!need(1)) return false;
  const auto tag = std::to_integer<std::uint8_t>(data_[at_]);
  if (tag == kFloat64) {
    ++at_;
    std::uint64_t bits = 0;
    if (!take_big_endian(bits)) return false;
    out = std::bit_cast<double>(bits);
    return true;
  }
  if (tag == kFloat32) {
    ++at_;
    std::uint32_t bits = 0;
    if (!take_big_endian(bits)) return false;
    out = static_cast<double>(std::bit_cast<float>(bits));
    return true;
  }
  std::int64_t integer = 0;
  if (!read_int(integer)) return fail("expected a number");
  out = static_cast<double>(integer);
  return true;
}

bool MsgpackReader::read_string(std::string_view& out) noexcept {
  std::uint8_t tag = 0;
  if (!take_big_endian(tag)) return false;
  std::size_t length = 0;
  if ((tag & 0xe0) == 0xa0) {
    length = tag & 0x1f;
  } else if (tag >= kStr8 && tag <= kStr32) {
    if (!take_length(tag, kStr8, length)) return false;
  } else {
    return fail("expected a string");
  }
  ByteView view;
  if (!take_view(length, view)) return false;
  out = {reinterpret_cast<const char*>(view.data()), view.size()};
  return is_utf8(out) || fail("a string is not UTF-8");
}

bool MsgpackReader::read_binary(ByteView& out) noexcept {
  std::uint8_t tag = 0;
  std::size_t length = 0;
  if (!take_big_endian(tag)) return false;
  if (tag < kBin8 || tag > kBin32) return fail("expected binary data");
  return take_length(tag, kBin8, length) && take_view(length, out);
}

bool MsgpackReader::read_ext(std::int8_t& type, ByteView& out) noexcept {
  std::uint8_t tag = 0;
  std::size_t length = 0;
  if (!take_big_endian(tag)) return false;
  if (tag >= kFixExt1 && tag <= kFixExt16) {
    length = std::size_t{1} << (tag - kFixExt1);
  } else if (tag >= kExt8 && tag <= kExt32) {
    if (!take_length(tag, kExt8, length)) return false;
  } else {
    return fail("expected an extension value");
  }
  return take_big_endian(type) && take_view(length, out);
}

bool MsgpackReader::read_array(std::size_t& count) noexcept {
  std::uint8_t tag = 0;
  if (!take_big_endian(tag)) return false;
  if ((tag & 0xf0) == 0x90) {
    count = tag & 0x0f;
  } else if (tag == kArray16 || tag == kArray32) {
    if (!take_length(tag, kArray16 - 1, count)) return false;
  } else {
    return fail("expected an array");
  }
  return count <= left() || fail("an array announces more elements than the frame has bytes");
}

bool MsgpackReader::read_map(std::size_t& count) noexcept {
  std::uint8_t tag = 0;
  if (!take_big_endian(tag)) return false;
  if ((tag & 0xf0) == 0x80) {
    count = tag & 0x0f;
  } else if (tag == kMap16 || tag == kMap32) {
    if (!take_length(tag, kMap16 - 1, count)) return false;
  } else {
    return fail("expected a map");
  }
  return count <= left() / 2 || fail("a map announces more entries than the frame has bytes");
}

bool MsgpackReader::read_u32_big_endian(std::span<std::uint32_t> out) noexcept {
  if (error_) return false;
  const std::byte* p = data_.data() + at_;
  const std::byte* const end = data_.data() + data_.size();
  constexpr std::size_t kGiveUp = 16;  // tokens one by one where a window gave few
  std::size_t one_by_one = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    while (one_by_one == 0 && out.size() - i > kTokenWindowMost &&
           static_cast<std::size_t>(end - p) >= kTokenWindowBytes) {
      const std::size_t taken = take_token_window(p, &out[i]);
      i += taken;
      if (taken < kTokenWindowMost / 4) one_by_one = kGiveUp;
    }
    one_by_one -= one_by_one > 0;
    std::uint32_t& slot = out[i];
    if (end - p >= 5) {  // the longest legal form fits: no bound check per form
      const auto tag = std::to_integer<std::uint8_t>(p[0]);
      if (tag == kUint16) {
        slot = to_big_endian(load_big_endian<std::uint16_t>(p + 1));
        p += 3;
        continue;
      }
      if (tag == kUint32) {
        std::memcpy(&slot, p + 1, 4);
        p += 5;
        continue;
      }
      if (tag < 0x80) {
        slot = to_big_endian(tag);
        p += 1;
        continue;
      }
    }
    at_ = static_cast<std::size_t>(p - data_.data());
    std::int64_t value = 0;
    if (!read_int(value)) return false;
    if (value < 0 || value > std::int64_t{0xffffffff})
      return fail("a token id is outside 0..2^32-1");
    slot = to_big_endian(static_cast<std::uint32_t>(value));
    p = data_.data() + at_;
  }
  at_ = static_cast<std::size_t>(p - data_.data());
  return true;
}

bool MsgpackReader::read_ints(std::span<std::int64_t> out) noexcept {
  if (error_) return false;
  for (std::int64_t& value : out) {
    const std::byte* const p = data_.data() + at_;
    if (left() >= 3) {  // the forms that nearly all have fit: no bound check per form
      const auto tag = std::to_integer<std::uint8_t>(p[0]);
      if (tag == kUint16) {
        value = load_big_endian<std::uint16_t>(p + 1);
        at_ += 3;
        continue;
      }
      if (tag == kUint8) {
        value = std::to_integer<std::uint8_t>(p[1]);
        at_ += 2;
        continue;
      }
      if (tag < 0x80) {
        value = tag;
        ++at_;
        continue;
      }
    }
    if (!read_int(value)) return false;
  }
  return true;
}

// Iterative, with the number of values still to skip per open container: hostile nesting costs no
// stack.
bool MsgpackReader::skip() noexcept {
  std::uint64_t pending[kMaxDepth + 1];
  unsigned depth = 0;
  pending[0] = 1;
  for (;;) {
    while (pending[depth] == 0) {
      if (depth == 0) return true;
      --depth;
    }
    --pending[depth];
    if (++skipped_ > kMaxSkipped) return fail("more values than may be skipped");
    if (!need(1)) return false;
    const auto tag = std::to_integer<std::uint8_t>(data_[at_]);
    std::size_t count = 0;
    std::uint64_t children = 0;
    ByteView view;
    std::string_view text;
    std::int8_t type = 0;
    std::int64_t integer = 0;
    double number = 0;
    if ((tag & 0xf0) == 0x90 || tag == kArray16 || tag == kArray32) {
      if (!read_array(count)) return false;
      children = count;
    } else if ((tag & 0xf0) == 0x80 || tag == kMap16 || tag == kMap32) {
      if (!read_map(count)) return false;
      children = std::uint64_t{count} * 2;
    } else if ((tag & 0xe0) == 0xa0 || (tag >= kStr8 && tag <= kStr32)) {
      if (!read_string(text)) return false;
    } else if (tag >= kBin8 && tag <= kBin32) {
      if (!read_binary(view)) return false;
    } else if ((tag >= kFixExt1 && tag <= kFixExt16) || (tag >= kExt8 && tag <= kExt32)) {
      if (!read_ext(type, view)) return false;
    } else if (tag == kNil || tag == kFalse || tag == kTrue) {
      ++at_;
    } else if (tag == kFloat32 || tag == kFloat64) {
      if (!read_double(number)) return false;
    } else if (tag == kUint64) {
      std::uint64_t wide = 0;  // legal MessagePack even where read_int refuses it
      ++at_;
      if (!take_big_endian(wide)) return false;
    } else if (!read_int(integer)) {
      return false;
    }
    if (children > 0) {
      if (depth == kMaxDepth) return fail("values are nested too deep");
      pending[++depth] = children;
    }
  }
}

bool MsgpackReader::finished() noexcept {
  if (error_) return false;
  return left() == 0 || fail("bytes follow the value");
}

bool is_utf8(std::string_view text) noexcept {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = p + text.size();
  while (p < end) {
    const unsigned char lead = *p++;
    if (lead < 0x80) continue;
    unsigned more = 0;
    std::uint32_t code = 0, least = 0;
    if ((lead & 0xe0) == 0xc0) {
      more = 1, code = lead & 0x1fu, least = 0x80;
    } else if ((lead & 0xf0) == 0xe0) {
      more = 2, code = lead & 0x0fu, least = 0x800;
    } else if ((lead & 0xf8) == 0xf0) {
      more = 3, code = lead & 0x07u, least = 0x10000;
    } else {
      return false;
    }
    if (static_cast<std::size_t>(end - p) < more) return false;
    for (; more > 0; --more, ++p) {
      if ((*p & 0xc0) != 0x80) return false;
      code = (code << 6) | (*p & 0x3fu);
    }
    if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return false;
  }
  return true;
}

}  // namespace lmcache::wire
