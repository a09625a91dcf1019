// Builds MessagePack for tests, including the forms the server itself never writes (maps,
// extensions, floats, odd-sized integers).
#pragma once

#include "wire/message.hpp"

#include <bit>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace lmcache::test {

class Pack {
 public:
  Pack& raw(std::initializer_list<unsigned> bytes) {
    for (const unsigned b : bytes) out_.push_back(static_cast<std::byte>(b));
    return *this;
  }
  Pack& raw(wire::ByteView bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  Pack& nil() { return raw({0xc0}); }
  Pack& boolean(bool v) { return raw({v ? 0xc3u : 0xc2u}); }
  Pack& integer(std::int64_t v) {
    if (v >= 0 && v < 128) return raw({static_cast<unsigned>(v)});
    if (v < 0 && v >= -32) return raw({static_cast<unsigned>(v & 0xff)});
    return raw({v < 0 ? 0xd3u : 0xcfu}).big_endian(static_cast<std::uint64_t>(v), 8);
  }
  Pack& token(
      std::uint32_t v) {  // as the client's encoder would, so that token lists have all forms
    if (v < 0x80) return raw({v});
    if (v <= 0xff) return raw({0xcc}).big_endian(v, 1);
    if (v <= 0xffff) return raw({0xcd}).big_endian(v, 2);
    return raw({0xce}).big_endian(v, 4);
  }
  Pack& real(double v) { return raw({0xcb}).big_endian(std::bit_cast<std::uint64_t>(v), 8); }
  Pack& string(std::string_view v) {
    return raw({0xdb}).big_endian(v.size(), 4).raw(std::as_bytes(std::span{v.data(), v.size()}));
  }
  Pack& binary(std::string_view v) {
    return raw({0xc6}).big_endian(v.size(), 4).raw(std::as_bytes(std::span{v.data(), v.size()}));
  }
  Pack& array(std::size_t n) { return raw({0xdd}).big_endian(n, 4); }
  Pack& map(std::size_t n) { return raw({0xdf}).big_endian(n, 4); }
  Pack& ext(unsigned type, const wire::Bytes& data) {
    return raw({0xc9}).big_endian(data.size(), 4).raw({type}).raw(data);
  }
  template <class Range>
  Pack& integers(const Range& values) {
    array(std::size(values));
    for (const auto v : values) integer(static_cast<std::int64_t>(v));
    return *this;
  }

  [[nodiscard]] const wire::Bytes& bytes() const { return out_; }
  operator wire::Bytes() const { return out_; }  // NOLINT: a finished value is what tests pass on
  operator wire::ByteView() const { return out_; }  // NOLINT

 private:
  Pack& big_endian(std::uint64_t v, unsigned n) {
    for (unsigned shift = n * 8; shift > 0; shift -= 8)
      out_.push_back(static_cast<std::byte>((v >> (shift - 8)) & 0xff));
    return *this;
  }
  wire::Bytes out_;
};

}  // namespace lmcache::test
