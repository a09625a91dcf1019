// A libzmq DEALER as the published client has one, and what the load generators share around it.
#pragma once

#include <zmq.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/pack.hpp"
#include "wire/operations.hpp"

namespace lmcache::bench {

using Clock = std::chrono::steady_clock;
using Frames = std::vector<wire::Bytes>;

inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Throws when a send or a reply takes longer than two minutes.
class Dealer {
 public:
  explicit Dealer(const std::string& url, int reconnect_ms = 100)
      : socket_(context_, zmq::socket_type::dealer) {
    constexpr int kPatienceMs = 120'000;
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, kPatienceMs);
    socket_.set(zmq::sockopt::sndtimeo, kPatienceMs);
    socket_.set(zmq::sockopt::reconnect_ivl, reconnect_ms);
    socket_.connect(url);
  }

  void send(wire::Op op, const Frames& payload) {
    send_frame(test::Pack().integer(next_uid_++), true);
    send_frame(test::Pack().integer(static_cast<std::int64_t>(op)), !payload.empty());
    for (std::size_t i = 0; i < payload.size(); ++i) send_frame(payload[i], i + 1 < payload.size());
  }

  /// The next reply's frames: uid, operation, and the result if there is one.
  Frames receive() {
    Frames out;
    for (bool more = true; more;) {
      zmq::message_t part;
      if (!socket_.recv(part)) throw std::runtime_error("no reply");
      const auto* data = static_cast<const std::byte*>(part.data());
      out.emplace_back(data, data + part.size());
      more = part.more();
    }
    return out;
  }

  /// A noop with a constant uid, and the next reply unread: the least a client can do.
  void send_noop() {
    constexpr std::array kUid{std::byte{1}}, kNoop{std::byte{24}};
    send_frame(kUid, true);
    send_frame(kNoop, false);
  }
  void drop_reply() {
    do {
      if (!socket_.recv(dropped_)) throw std::runtime_error("no reply");
    } while (dropped_.more());
  }

  /// One request, one reply, nothing else in flight.
  Frames call(wire::Op op, const Frames& payload) {
    send(op, payload);
    return receive();
  }

 private:
  void send_frame(wire::ByteView frame, bool more) {
    const auto flags = more ? zmq::send_flags::sndmore : zmq::send_flags::none;
    if (!socket_.send(zmq::const_buffer(frame.data(), frame.size()), flags)) {
      throw std::runtime_error("the server takes no more requests");
    }
  }

  zmq::context_t context_;
  zmq::socket_t socket_;
  zmq::message_t dropped_;
  std::int64_t next_uid_ = 0;
};

/// The value below which `share` (0..1) of the samples lie; sorts them.
inline double percentile(std::vector<double>& samples, double share) {
  std::sort(samples.begin(), samples.end());
  const auto at = static_cast<std::size_t>(share * static_cast<double>(samples.size()));
  return samples.at(std::min(at, samples.size() - 1));
}

/// One value per round under each metric's name, printed as a JSON object for report.py.
class Results {
 public:
  void add(const std::string& metric, double value) { values_[metric].push_back(value); }
  void print() const {
    const char* comma = "";
    std::printf("{");
    for (const auto& [metric, values] : values_) {
      std::printf("%s\"%s\": [", comma, metric.c_str());
      for (std::size_t i = 0; i < values.size(); ++i) {
        std::printf("%s%.9g", i == 0 ? "" : ", ", values[i]);
      }
      std::printf("]");
      comma = ", ";
    }
    std::printf("}\n");
  }

 private:
  std::map<std::string, std::vector<double>> values_;
};

}  // namespace lmcache::bench
