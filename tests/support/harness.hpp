// The request engine without sockets: messages go into the dispatcher as the network layer would
// hand them over, replies come back as frames.
#pragma once

#include "engine/dispatcher.hpp"
#include "engine/engine.hpp"
#include "load/shared_memory.hpp"
#include "support/golden.hpp"
#include "support/pack.hpp"
#include "wire/msgpack_reader.hpp"
#include "wire/operations.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lmcache::test {

using Frames = std::vector<wire::Bytes>;

/// One reply to come. get() fails the test (by throwing) if none arrives in time.
class Pending {
 public:
  explicit Pending(std::shared_future<Frames> future) : future_(std::move(future)) {}
  Frames get() const {
    if (future_.wait_for(std::chrono::seconds(20)) != std::future_status::ready)
      throw std::runtime_error("no reply");
    return future_.get();
  }
  [[nodiscard]] bool arrived() const {
    return future_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

 private:
  std::shared_future<Frames> future_;
};

/// A segment of shared memory as an engine would make it, that may be cut short behind the server's
/// back.
class SharedMemory : public load::SharedMemory {
 public:
  using load::SharedMemory::SharedMemory;
  void shrink(std::size_t bytes) const {
    if (::truncate(("/dev/shm" + name()).c_str(), static_cast<off_t>(bytes)) != 0)
      throw std::runtime_error("truncate failed");
  }
};

class Harness {
 public:
  explicit Harness(ServerConfig config = small_config(), std::size_t l1_bytes = 8u << 20)
      : memory_(l1_bytes / sizeof(Page)),
        engine_(config, std::as_writable_bytes(std::span{memory_})),
        dispatcher_(engine_) {}

  static ServerConfig small_config() {
    ServerConfig config;
    config.chunk_size = 32;
    config.max_cpu_workers = 2;
    config.max_gpu_workers = 2;
    config.eviction_trigger_watermark = 1.0;
    return config;
  }

  net::PeerId connect() {
    const net::PeerId peer = ++last_peer_;
    connections_[peer] = dispatcher_.opened(peer, "test");
    return peer;
  }
  void disconnect(net::PeerId peer) { connections_.erase(peer); }

  Pending send(net::PeerId peer, const Frames& frames) {
    auto reply = std::make_shared<Reply>();
    Pending pending(reply->promise.get_future().share());
    auto message = to_message(frames);
    const std::size_t bytes = message.byte_count();
    connections_.at(peer)->message(message, net::ReplySlot(reply, bytes));
    return pending;
  }
  Pending send(net::PeerId peer, wire::Op op, const Frames& payload) {
    Frames frames{Pack().integer(next_uid_++), Pack().integer(static_cast<std::int64_t>(op))};
    frames.insert(frames.end(), payload.begin(), payload.end());
    return send(peer, frames);
  }
  Frames call(net::PeerId peer, wire::Op op, const Frames& payload) {
    return send(peer, op, payload).get();
  }

  engine::Engine& engine() { return engine_; }

 private:
  struct Reply final : net::ReplySlot::Target {
    std::promise<Frames> promise;
    std::atomic<int> delivered{0};
    void deliver(wire::FrameViews views, obs::SecondsHistogram*) override {
      Frames frames;
      for (const wire::ByteView view : views) frames.emplace_back(view.begin(), view.end());
      if (delivered++ == 0) promise.set_value(std::move(frames));
    }
    [[nodiscard]] std::string_view peer_name() const noexcept override { return "test"; }
    void abandon(std::size_t) noexcept override {}
    void finished(std::size_t) noexcept override {
      EXPECT_EQ(delivered, 1) << "a request was answered more than once";
    }
  };
  struct alignas(4096) Page {  // L1 starts at a page boundary, as a mapping does
    std::byte bytes[4096];
  };
  std::vector<Page> memory_;
  engine::Engine engine_;
  engine::Dispatcher dispatcher_;
  std::map<net::PeerId, std::unique_ptr<net::Connection>> connections_;
  net::PeerId last_peer_ = 0;
  std::int64_t next_uid_ = 1;
};

/// The payload of a normal reply; an error reply fails the test.
inline wire::MsgpackReader payload_of(const Frames& reply) {
  EXPECT_EQ(reply.size(), 3u);
  return wire::MsgpackReader(reply.size() > 2 ? wire::ByteView{reply[2]} : wire::ByteView{});
}

/// The text of an error reply, or "" if it is none.
inline std::string error_text(const Frames& reply) {
  wire::MsgpackReader in(reply.at(1));
  std::string_view text;
  return reply.size() == 2 && in.read_string(text) ? std::string(text) : "";
}

/// [event, ok] of a store's or retrieve's reply.
inline bool transfer_ok(const Frames& reply) {
  auto in = payload_of(reply);
  std::size_t n = 0;
  wire::ByteView event;
  bool ok = false;
  EXPECT_TRUE(in.read_array(n) && n == 2 && in.read_binary(event) && in.read_bool(ok) &&
              in.finished())
      << in.error();
  return ok;
}

struct KeySpec {
  std::string model = "m", salt, request = "r";
  std::int64_t world_size = 1;
  std::optional<std::int64_t> worker = 0;
  std::vector<std::uint32_t> tokens;
  std::int64_t start = 0, end = 0;
  std::int64_t readers = 1;
};

inline wire::Bytes pack_key(const KeySpec& key) {
  Pack out;
  out.map(10)
      .string("model_name")
      .string(key.model)
      .string("world_size")
      .integer(key.world_size)
      .string("worker_id");
  key.worker ? out.integer(*key.worker) : out.nil();
  out.string("token_ids").array(key.tokens.size());
  for (const auto token : key.tokens) out.token(token);
  out.string("start").integer(key.start).string("end").integer(key.end);
  out.string("request_id")
      .string(key.request)
      .string("cache_salt")
      .string(key.salt)
      .string("request_configs")
      .nil();
  out.string("num_kv_readers").integer(key.readers);
  return out;
}

inline std::vector<std::uint32_t> tokens_from(std::uint32_t seed, std::size_t n) {
  std::vector<std::uint32_t> out(n);
  for (auto& token : out) token = (seed = seed * 1664525u + 1013904223u) % 129280u;
  return out;
}

/// A dense engine: `layers` tensors [blocks, 2, 16, 2, 8] bfloat16 in one shared segment each.
class DenseWorker {
 public:
  static constexpr std::int64_t kBlock = 16, kHeads = 2, kHead = 8;
  static constexpr std::size_t kPage = 2 * kBlock * kHeads * kHead * 2;

  DenseWorker(std::int64_t id, std::size_t blocks, std::size_t layers = 2,
              std::string dtype = "bfloat16", std::string model = "m", std::int64_t world_size = 1)
      : id_(id),
        blocks_(blocks),
        dtype_(std::move(dtype)),
        model_(std::move(model)),
        world_size_(world_size) {
    for (std::size_t i = 0; i < layers; ++i)
      layers_.push_back(std::make_unique<SharedMemory>(blocks * kPage));
  }

  [[nodiscard]] Frames registration() const {
    Pack tensors;
    tensors.array(layers_.size());
    for (const auto& layer : layers_) tensors.ext(1, descriptor(*layer));
    Pack groups;
    std::vector<std::int64_t> indices(layers_.size());
    for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::int64_t>(i);
    groups.array(1)
        .map(3)
        .string("engine_group_id")
        .integer(0)
        .string("layer_indices")
        .integers(indices);
    groups.string("tokens_per_block").integer(kBlock);
    return {Pack().integer(id_),
            tensors,
            Pack().string(model_),
            Pack().integer(world_size_),
            Pack().string("vllm"),
            Pack().map(1).string("kv_layout").string("NHD"),
            groups};
  }

  void fill(unsigned seed) {
    for (auto& layer : layers_) {
      for (std::size_t i = 0; i < layer->size(); ++i) {
        layer->data()[i] = static_cast<std::byte>((seed = seed * 1664525u + 1013904223u) >> 24);
      }
    }
  }
  void zero() {
    for (auto& layer : layers_) std::fill_n(layer->data(), layer->size(), std::byte{0});
  }
  [[nodiscard]] wire::Bytes page(std::size_t layer, std::int64_t block) const {
    const auto* p = layers_[layer]->data() + static_cast<std::size_t>(block) * kPage;
    return {p, p + kPage};
  }
  [[nodiscard]] std::int64_t id() const { return id_; }
  [[nodiscard]] std::size_t layers() const { return layers_.size(); }
  SharedMemory& layer(std::size_t i) { return *layers_[i]; }

 private:
  [[nodiscard]] wire::Bytes descriptor(const SharedMemory& memory) const {
    const auto n = static_cast<std::int64_t>(blocks_);
    Pack out;
    out.map(5).string("type").string("cpu_shm").string("shm_name").string(memory.name());
    out.string("nbytes")
        .integer(static_cast<std::int64_t>(memory.size()))
        .string("version")
        .integer(1);
    out.string("metadata").map(5).string("dtype").string(dtype_);
    out.string("shape").integers(std::vector<std::int64_t>{n, 2, kBlock, kHeads, kHead});
    out.string("stride").integers(std::vector<std::int64_t>{
        2 * kBlock * kHeads * kHead, kBlock * kHeads * kHead, kHeads * kHead, kHead, 1});
    out.string("storage_offset").integer(0).string("device_uuid").string("cpu");
    return out;
  }
  std::int64_t id_;
  std::size_t blocks_;
  std::string dtype_, model_;
  std::int64_t world_size_;
  std::vector<std::unique_ptr<SharedMemory>> layers_;
};

inline std::vector<std::int64_t> ids_from(std::int64_t first, std::size_t n) {
  std::vector<std::int64_t> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = first + static_cast<std::int64_t>(i);
  return out;
}

inline Frames store_payload(const KeySpec& key, std::int64_t instance,
                            const std::vector<std::int64_t>& ids) {
  return {pack_key(key), Pack().integer(instance), Pack().array(1).integers(ids),
          Pack().binary("stub_ipc_handle")};
}
inline Frames retrieve_payload(const KeySpec& key, std::int64_t instance,
                               const std::vector<std::int64_t>& ids, std::int64_t skip = 0) {
  auto out = store_payload(key, instance, ids);
  out.push_back(Pack().integer(skip));
  return out;
}

}  // namespace lmcache::test
