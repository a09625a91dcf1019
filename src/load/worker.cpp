#include "load/worker.hpp"

#include "load/pattern.hpp"

#include <thread>

namespace lmcache::load {
namespace {

constexpr std::chrono::milliseconds kTidyingPatience{2000};
constexpr std::chrono::milliseconds kVisiblePause{2};
constexpr std::chrono::seconds kVisiblePatience{15};

[[noreturn]] void fail(const Client& client, const std::string& text) {
  throw std::runtime_error(client.url() + ": " + text);
}

}  // namespace

std::uint32_t chunk_tokens_of(Client& client) {
  const Reply reply = client.call(wire::Op::kGetChunkSize, {});
  auto result = reply.result();
  std::int64_t tokens = 0;
  if (!result.read_int(tokens) || tokens < 1 || tokens > (1 << 20))
    fail(client, "get_chunk_size was answered with something else");
  return static_cast<std::uint32_t>(tokens);
}

Worker::Worker(const WorkerOptions& options, std::uint64_t seed)
    : options_(options),
      seed_(seed),
      memory_(options.make, options.chunk_tokens, options.chunks, options.make_tensors) {
  for (const std::string& url : options.urls) {
    clients_.push_back(std::make_unique<Client>(url, options.patience, options.stop));
    clients_.back()->call(wire::Op::kRegisterKvCache,
                          memory_.registration(name_.id(), options.model));
  }
  memory_.tensors().registered();
}

Worker::~Worker() {
  for (const auto& client : clients_) {
    try {
      client->hurry(kTidyingPatience);
      client->call(wire::Op::kUnregisterKvCache, {encode_integer(name_.id())});
    } catch (const std::exception&) {
      // Its connection ends here; the server reaps what is silent.
    }
  }
}

void Worker::begin_sequence() {
  sequence_seed_ = seed_of(seed_, ++sequences_);
  key_.model = options_.model;
  key_.request_id = "bench-" + std::to_string(sequence_seed_);
  key_.tokens = tokens_of(sequence_seed_, memory_.tokens());
  memory_.fill(sequence_seed_);
}

void Worker::noop(std::size_t server) {
  clients_[server]->call(wire::Op::kNoop, {});
}

void Worker::transfer(std::size_t server, wire::Op op, Frames frames) {
  Client& client = *clients_[server];
  const Reply reply = client.call(op, std::move(frames));
  auto result = reply.result();
  std::size_t fields = 0;
  wire::ByteView event;
  bool ok = false;
  if (!result.read_array(fields) || fields != 2 || !result.read_binary(event) ||
      !result.read_bool(ok))
    fail(client, "a transfer was answered with something else");
  if (ok) return await_end(client, event);
  fail(client, op == wire::Op::kStore ? "a store was answered false; its log says why: is its L1 "
                                        "smaller than --concurrency times "
                                        "--tokens, or all of it leased?"
                                      : "a retrieve was answered false; the server's log says why");
}

void Worker::await_end(const Client& client, wire::ByteView event) {
  const auto deadline = std::chrono::steady_clock::now() + options_.patience;
  try {
    memory_.tensors().wait(event, [&] {
      if (options_.stop()) throw Interrupted();
      if (std::chrono::steady_clock::now() > deadline)
        throw std::runtime_error("the copy of a transfer did not end in time");
    });
  } catch (const Interrupted&) {
    throw;
  } catch (const std::runtime_error& error) {
    fail(client, error.what());
  }
}

void Worker::store(std::size_t server) {
  transfer(server, wire::Op::kStore,
           store_frames(key_, name_.id(), memory_.block_ids(), memory_.tensors().event()));
}

void Worker::retrieve(std::size_t server) {
  transfer(server, wire::Op::kRetrieve,
           retrieve_frames(key_, name_.id(), memory_.block_ids(), memory_.tensors().event()));
}

std::int64_t Worker::try_look_up(std::size_t server) {
  Client& client = *clients_[server];
  key_.request_id = "bench-" + std::to_string(sequence_seed_) + "-" + std::to_string(++lookups_);
  open_.push_back(key_.request_id);
  client.call(wire::Op::kLookup, lookup_frames(key_));
  const double seconds = std::chrono::duration<double>(options_.patience).count();
  const Reply reply =
      client.call(wire::Op::kWaitPrefetchStatus, wait_frames(key_.request_id, seconds));
  auto result = reply.result();
  std::int64_t chunks = 0;
  return result.read_int(chunks) ? chunks : 0;
}

void Worker::look_up(std::size_t server) {
  if (try_look_up(server) != options_.chunks)
    fail(*clients_[server],
         "what was stored is gone before it was read: its L1 is too small for --concurrency times "
         "--tokens, or others fill it");
}

void Worker::await_visible(std::size_t server) {
  const auto deadline = std::chrono::steady_clock::now() + kVisiblePatience;
  while (try_look_up(server) != options_.chunks) {
    release_lookups(server, 0);
    if (std::chrono::steady_clock::now() > deadline)
      fail(*clients_[server],
           "what was stored cannot be found: is its L1 full? A server that makes no room within a "
           "store needs --clear");
    std::this_thread::sleep_for(kVisiblePause);
  }
  release_lookups(server, 0);
}

void Worker::release_lookups(std::size_t server, std::size_t keep) {
  while (open_.size() > keep) {
    SequenceKey key = key_;
    key.request_id = open_.front();
    clients_[server]->call(wire::Op::kFreeLookupLocks, lookup_frames(key));
    clients_[server]->call(wire::Op::kEndSession, {encode_string(key.request_id)});
    open_.erase(open_.begin());
  }
}

void Worker::end_sequence(std::size_t server) {
  for (const std::string& request_id : open_)
    clients_[server]->call(wire::Op::kEndSession, {encode_string(request_id)});
  open_.clear();
}

void Worker::clear(std::size_t server) {
  clients_[server]->call(wire::Op::kClear, {encode_boolean(true)});
}

}  // namespace lmcache::load
