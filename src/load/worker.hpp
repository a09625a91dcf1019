// One engine worker under load: its memory, registered at every server, and what it asks of them.
// One thread at a time; workers do not know each other.
#pragma once

#include "load/client.hpp"
#include "load/engine_memory.hpp"
#include "load/worker_name.hpp"

#include <memory>
#include <vector>

namespace lmcache::load {

/// What workers of one run have in common.
struct WorkerOptions {
  std::vector<std::string> urls;
  geometry::MakeRegistration make = nullptr;
  MakeTensors make_tensors = &make_shared_tensors;
  std::string model;  ///< name it registers under
  std::uint32_t chunk_tokens = 0, chunks = 0;
  std::chrono::milliseconds patience{30'000};
  Stop stop;
};

class Worker {
 public:
  /// Takes its memory, connects and registers. `seed` is its own. Throws as Client does.
  Worker(const WorkerOptions& options, std::uint64_t seed);
  /// Unregisters where it can.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// The next sequence: new tokens, and new bytes in the memory.
  void begin_sequence();

  // Requests to the server of this index; each throws where the answer is not the good one. What
  // is measured is one of these calls.
  void noop(std::size_t server);
  void store(std::size_t server);
  /// lookup and wait_prefetch_status, under a request id of its own, of the stored sequence.
  void look_up(std::size_t server);
  void retrieve(std::size_t server);

  /// Until the stored sequence is found: a server may answer a store before it is visible.
  void await_visible(std::size_t server);
  /// Gives up the leases of every look_up() but the last `keep`; the retrieve needs one.
  void release_lookups(std::size_t server, std::size_t keep);
  /// After the retrieve, which has used the last lease up.
  void end_sequence(std::size_t server);
  void clear(std::size_t server);

  void wipe() { memory_.wipe(); }
  /// After a retrieve.
  [[nodiscard]] std::uint64_t bad_blocks() const { return memory_.bad_blocks(sequence_seed_); }
  [[nodiscard]] const EngineMemory& memory() const { return memory_; }

 private:
  /// Chunks found.
  std::int64_t try_look_up(std::size_t server);
  /// From the request to the end of the copy.
  void transfer(std::size_t server, wire::Op op, Frames frames);
  void await_end(const Client& client, wire::ByteView event);

  WorkerOptions options_;
  std::uint64_t seed_, sequences_ = 0, lookups_ = 0;
  std::uint64_t sequence_seed_ = 0;
  WorkerName name_;
  EngineMemory memory_;
  SequenceKey key_;
  std::vector<std::string> open_;                 ///< request ids that have looked up and not ended
  std::vector<std::unique_ptr<Client>> clients_;  ///< by server
};

/// The size of a server's chunks in tokens.
[[nodiscard]] std::uint32_t chunk_tokens_of(Client& client);

}  // namespace lmcache::load
