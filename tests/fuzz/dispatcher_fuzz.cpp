// The request engine without sockets: an input is a list of things that happen (requests built from
// small choices or of raw frames, connections that go, time that passes). Each message gets exactly
// one reply; only control messages of streams get none, and what a closed connection left behind
// may be dropped.
#include <condition_variable>
#include <mutex>

#include "fuzz/input.hpp"
#include "obs/log.hpp"
#include "support/harness.hpp"
#include "support/zmtp_peer.hpp"

namespace {

using namespace lmcache;
using fuzz::Input;
using fuzz::require;
using test::Frames;
using test::Pack;

constexpr std::size_t kMessagesMax = 64, kL1Bytes = 64 << 10, kBlocks = 8;

/// Counts the ends of requests, and waits for the last.
class Replies {
 public:
  void ended() {
    const std::lock_guard lock(mutex_);
    ++ended_;
    changed_.notify_all();
  }
  void wait_for(std::size_t messages) {
    std::unique_lock lock(mutex_);
    require(changed_.wait_for(lock, std::chrono::seconds(60), [&] { return ended_ == messages; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t ended_ = 0;
};

struct Reply final : net::ReplySlot::Target {
  Reply(Replies& all, wire::Bytes id, bool is_control)
      : replies(all), uid(std::move(id)), control(is_control) {}
  void deliver(wire::FrameViews frames, obs::SecondsHistogram*) override {
    require(++delivered == 1 && !control);
    require(frames.size() == 2 || frames.size() == 3);
    require(std::ranges::equal(frames[0], uid));
  }
  [[nodiscard]] std::string_view peer_name() const noexcept override { return "fuzz"; }
  void abandon(std::size_t) noexcept override {
    require(delivered == 0 && (control || closed));
    replies.ended();
  }
  void finished(std::size_t) noexcept override {
    require(delivered == 1);
    replies.ended();
  }

  Replies& replies;
  const wire::Bytes uid;
  const bool control;
  std::atomic<int> delivered{0};
  std::atomic<bool> closed{false};
};

/// Two of equal geometry and one that differs under the same model name.
const test::DenseWorker& worker(unsigned which) {
  static const test::DenseWorker first(0, kBlocks), second(1, kBlocks),
      other(2, kBlocks, 2, "float16");
  return which == 0 ? first : which == 1 ? second : other;
}

class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size)
      : in_(data, size), memory_(kL1Bytes), engine_(config(), memory_), dispatcher_(engine_) {
    for (auto& peer : peers_) open(peer);
  }

  void run() {
    while (!in_.empty() && replies_.size() < kMessagesMax) step();
    all_.wait_for(replies_.size());
  }

 private:
  struct Peer {
    std::unique_ptr<net::Connection> connection;
    std::vector<std::shared_ptr<Reply>> replies;
  };

  static ServerConfig config() {
    ServerConfig out = test::Harness::small_config();
    out.max_cpu_workers = out.max_gpu_workers = 1;
    return out;
  }

  void open(Peer& peer) { peer = {dispatcher_.opened(++last_peer_, "fuzz"), {}}; }

  void close(Peer& peer) {
    for (auto& reply : peer.replies) reply->closed = true;
    peer.connection.reset();
  }

  void send(Peer& peer, const Frames& frames) {
    const bool control = frames.size() == 3 && frames[1].empty() &&
                         (frames[2] == test::bytes("ack") || frames[2] == test::bytes("cancel"));
    auto reply = std::make_shared<Reply>(all_, frames[0], control);
    replies_.push_back(reply);
    peer.replies.push_back(reply);
    auto message = test::to_message(frames);
    const std::size_t bytes = message.byte_count();
    peer.connection->message(message, net::ReplySlot(std::move(reply), bytes));
  }

  void step() {
    Peer& peer = peers_[in_.below(2)];
    switch (const unsigned what = in_.below(16)) {
      case 0:
        return send(peer, raw());
      case 12:
        close(peer);
        return open(peer);
      case 13:
        return engine_.maintain(engine::Clock::now() + std::chrono::seconds(in_.integer() % 1000));
      default: {
        Frames frames = request(what);
        if (in_.below(8) == 0) spoil(frames);
        return send(peer, frames);
      }
    }
  }

  Frames raw() {
    Frames frames(1 + in_.below(9));
    for (auto& frame : frames) {
      const auto bytes = in_.sized();
      frame.assign(bytes.begin(), bytes.end());
    }
    return frames;
  }

  void spoil(Frames& frames) {
    auto& frame = frames[in_.below(static_cast<unsigned>(frames.size()))];
    const auto at = static_cast<std::size_t>(in_.number(2));
    switch (in_.below(4)) {
      case 0:
        frames.pop_back();
        break;
      case 1:
        frames.push_back(frame);
        break;
      case 2:
        frame.resize(std::min(frame.size(), at));
        break;
      default:
        if (!frame.empty()) frame[at % frame.size()] = static_cast<std::byte>(in_.byte());
    }
    if (frames.empty()) frames.emplace_back();
  }

  Frames request(unsigned what) {
    using wire::Op;
    const std::string id(1, static_cast<char>('a' + in_.below(3)));
    const unsigned instance = in_.below(4);
    switch (what) {
      case 1:
        return with(Op::kRegisterKvCache, worker(instance).registration());
      case 2:
        return with(Op::kUnregisterKvCache, {Pack().integer(instance)});
      case 3:
        return transfer(Op::kStore, instance, id);
      case 4:
        return transfer(Op::kRetrieve, instance, id);
      case 6:
        return with(Op::kQueryPrefetchStatus, {Pack().string(id)});
      case 7:
        return with(Op::kWaitPrefetchStatus, {Pack().string(id), Pack().real(in_.below(3))});
      case 8:
        return with(Op::kFreeLookupLocks, {test::pack_key(key(id, false)), Pack().integer(1)});
      case 9:
        return with(Op::kEndSession, {Pack().string(id)});
      case 10:
        return with(Op::kClear, {Pack().boolean(in_.below(2) == 0)});
      case 11:
        return with(Op::kPing, {Pack().integer(instance)});
      case 14:
        return with(static_cast<Op>(in_.byte() % 40), {});
      default:
        return with(Op::kLookup, {test::pack_key(key(id, false)), Pack().integer(1)});
    }
  }

  Frames with(wire::Op op, const Frames& payload) {
    Frames frames{Pack().integer(static_cast<std::int64_t>(replies_.size())),
                  Pack().integer(static_cast<std::int64_t>(op))};
    frames.insert(frames.end(), payload.begin(), payload.end());
    return frames;
  }

  test::KeySpec key(const std::string& id, bool of_worker) {
    constexpr std::int64_t kChunk = 32;
    test::KeySpec key;
    key.request = id;
    key.worker.reset();
    if (of_worker) key.worker = 0;
    const unsigned chunks = in_.below(5);
    key.tokens = test::tokens_from(in_.below(3), chunks * kChunk);
    key.end = chunks * kChunk;
    key.start = in_.below(3) == 0 ? in_.below(5) * kChunk : 0;
    key.readers = in_.below(3);
    const unsigned odd = in_.byte();
    if (odd == 1) key.end = in_.integer();
    if (odd == 2) key.start = in_.integer();
    if (odd == 3) key.salt = "s";
    if (odd == 4) key.world_size = 2;
    return key;
  }

  Frames transfer(wire::Op op, unsigned instance, const std::string& id) {
    const auto spec = key(id, true);
    const std::int64_t blocks = (spec.end - spec.start) / test::DenseWorker::kBlock;
    std::vector<std::int64_t> ids(blocks > 0 && blocks < 64 ? static_cast<std::size_t>(blocks) : 0);
    const bool odd = in_.below(8) == 0;
    for (auto& block : ids) {
      block = odd ? in_.integer() - 1 : 1 + in_.below(kBlocks - 1);
    }
    if (odd && in_.below(2) == 0) ids.push_back(in_.integer());
    if (op == wire::Op::kStore) return with(op, test::store_payload(spec, instance, ids));
    return with(op, test::retrieve_payload(spec, instance, ids, in_.below(64)));
  }

  Input in_;
  std::vector<std::byte> memory_;
  engine::Engine engine_;
  engine::Dispatcher dispatcher_;
  Replies all_;
  std::vector<std::shared_ptr<Reply>> replies_;
  std::array<Peer, 2> peers_;
  net::PeerId last_peer_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const bool quiet = [] {
    obs::setup_logging({.level = obs::Level::kError, .failed_requests = false});
    return true;
  }();
  static_cast<void>(quiet);
  Script(data, size).run();
  return 0;
}
