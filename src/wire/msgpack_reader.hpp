// A pull reader over one MessagePack frame. It never allocates: strings and binaries come back as
// views into the frame, and every announced count is checked against the bytes that are there
// before the caller may reserve memory for it. The first failure sticks: later reads return false
// as well, so a decoder may chain reads and look once.
#pragma once

#include "wire/message.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace lmcache::wire {

class MsgpackReader {
 public:
  explicit MsgpackReader(ByteView data) noexcept : data_(data) {}

  [[nodiscard]] bool read_nil_if_present() noexcept;  ///< consumes a nil; false (no error) if the
                                                      ///< next value is another
  [[nodiscard]] bool read_bool(bool& out) noexcept;
  [[nodiscard]] bool read_int(std::int64_t& out) noexcept;  ///< any integer form that fits
  [[nodiscard]] bool read_double(
      double& out) noexcept;  ///< floats, and integers as the client's decoder takes them
  [[nodiscard]] bool read_string(std::string_view& out) noexcept;  ///< valid UTF-8
  [[nodiscard]] bool read_binary(ByteView& out) noexcept;
  [[nodiscard]] bool read_ext(std::int8_t& type, ByteView& out) noexcept;
  /// Element counts; at least one byte per element (two per map entry) is left in the frame.
  [[nodiscard]] bool read_array(std::size_t& count) noexcept;
  [[nodiscard]] bool read_map(std::size_t& count) noexcept;
  /// `out.size()` unsigned 32-bit integers, stored big-endian as the chunk hash wants them. The hot
  /// loop of every request.
  [[nodiscard]] bool read_u32_big_endian(std::span<std::uint32_t> out) noexcept;
  /// `out.size()` integers: block ids, of which a store names thousands.
  [[nodiscard]] bool read_ints(std::span<std::int64_t> out) noexcept;
  /// Any one value with all it contains, nested at most kMaxDepth deep.
  [[nodiscard]] bool skip() noexcept;
  /// What has not been read yet.
  [[nodiscard]] ByteView rest() const noexcept { return data_.subspan(at_); }
  /// Leaves out `bytes` of it, which somebody else has read.
  void pass(std::size_t bytes) noexcept { at_ += std::min(bytes, left()); }
  /// True when nothing failed and nothing is left.
  [[nodiscard]] bool finished() noexcept;

  [[nodiscard]] bool failed() const noexcept { return error_ != nullptr; }
  /// What went wrong first, for the log; e.g. "expected an integer".
  [[nodiscard]] std::string_view error() const noexcept { return error_ ? error_ : ""; }
  bool fail(const char* what) noexcept;

  static constexpr unsigned kMaxDepth = 32;
  /// Values that skip() passes over in all: some 40 ms of work that is thrown away.
  static constexpr std::uint64_t kMaxSkipped = 1u << 22;

 private:
  [[nodiscard]] std::size_t left() const noexcept { return data_.size() - at_; }
  [[nodiscard]] bool need(std::size_t bytes) noexcept;
  template <class T>
  [[nodiscard]] bool take_big_endian(T& out) noexcept;
  [[nodiscard]] bool take_length(std::uint8_t tag, std::uint8_t tag8, std::size_t& length) noexcept;
  [[nodiscard]] bool take_view(std::size_t length, ByteView& out) noexcept;

  ByteView data_;
  std::size_t at_ = 0;
  std::uint64_t skipped_ = 0;
  const char* error_ = nullptr;
};

/// True if `text` is well-formed UTF-8.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace lmcache::wire
