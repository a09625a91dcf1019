// A multipart message as it came off a connection: frames in one contiguous body. Owned, movable,
// thread-agnostic.
#pragma once

#include <boost/container/small_vector.hpp>

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
  [[nodiscard]] std::size_t frame_count() const noexcept { return ends_.size(); }
  [[nodiscard]] std::size_t byte_count() const noexcept { return body_.size(); }
  [[nodiscard]] ByteView frame(std::size_t i) const noexcept {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return ByteView{body_}.subspan(begin, ends_[i] - begin);
  }
  /// The body being filled by the decoder; close_frame() ends the current frame at its present
  /// size.
  [[nodiscard]] Bytes& body() noexcept { return body_; }
  [[nodiscard]] const Bytes& body() const noexcept { return body_; }
  void close_frame() { ends_.push_back(body_.size()); }

 private:
  Bytes body_;
  boost::container::small_vector<std::size_t, 8> ends_;  // a request has two to eight frames
};

}  // namespace lmcache::wire
