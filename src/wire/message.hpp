// A multipart message as it came off a connection: frames in one contiguous body. Owned, movable,
// thread-agnostic.
#pragma once

#include <boost/container/small_vector.hpp>
#include <boost/container/vector.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lmcache::wire {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;
using FrameViews = std::span<const ByteView>;  ///< the frames of one message, owned by others

class Message {
 public:
  /// Can grow without being cleared: what is about to be read over need not be written first.
  using Body = boost::container::vector<std::byte>;

  [[nodiscard]] std::size_t frame_count() const noexcept { return ends_.size(); }
  [[nodiscard]] std::size_t byte_count() const noexcept { return body_.size(); }
  [[nodiscard]] ByteView frame(std::size_t i) const noexcept {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return ByteView{body_.data() + begin, ends_[i] - begin};
  }
  /// Frames 0 to count - 1 as one: they lie side by side.
  [[nodiscard]] ByteView head(std::size_t count) const noexcept {
    return ByteView{body_.data(), count == 0 ? 0 : ends_[count - 1]};
  }
  /// The body being filled by the decoder; close_frame() ends the current frame at its present
  /// size.
  [[nodiscard]] Body& body() noexcept { return body_; }
  [[nodiscard]] const Body& body() const noexcept { return body_; }
  void close_frame() { ends_.push_back(body_.size()); }
  /// No frames; the body keeps its memory for the next ones.
  void clear() noexcept {
    body_.clear();
    ends_.clear();
  }

 private:
  Body body_;
  boost::container::small_vector<std::size_t, 8> ends_;  // a request has two to eight frames
};

}  // namespace lmcache::wire
