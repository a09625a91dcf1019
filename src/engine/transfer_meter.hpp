// Counts one store or retrieve, for /metrics and for its worker in /status.
#pragma once

#include "engine/instances.hpp"

#include <lmcache/cache.hpp>

#include <chrono>
#include <cstdint>
#include <span>
#include <vector>

namespace lmcache::engine {

class TransferMeter {
 public:
  /// The copy of `objects` from or to `worker` is handed to whoever moves it. The arguments are not
  /// kept.
  void store_submitted(const Instance& worker, std::span<const ObjectRef> objects,
                       std::span<const ChunkHash> chain);
  void retrieve_submitted(const Instance& worker, std::span<const ObjectRef> objects,
                          std::span<const ChunkHash> chain);
  /// The copy has ended. `worker` moved chunks of `keyspace` as `rank`.
  void store_ended(bool ok, const Keyspace& keyspace, std::uint32_t rank, const Instance& worker);
  void retrieve_ended(bool ok, const Keyspace& keyspace, std::uint32_t rank, const Instance& worker,
                      std::uint32_t chunks);
  /// A retrieve of so many chunks found them not leased, or no longer there.
  static void nothing_to_read(const Instance& worker, std::uint32_t chunks);

 private:
  /// An object that obs::Lives samples, in the `nth` of the chunks that are moved.
  struct Sampled {
    ChunkHash hash;
    std::uint32_t group = 0;
    std::uint32_t nth = 0;
  };
  void begin(std::span<const ObjectRef> objects, std::span<const ChunkHash> chain);
  void tell_lives(const Keyspace& keyspace, std::uint32_t rank, bool is_read) const;
  [[nodiscard]] double gigabytes_per_second() const;

  std::chrono::steady_clock::time_point begun_{};
  std::uint64_t objects_ = 0, bytes_ = 0, chunks_ = 0;
  std::vector<Sampled> sampled_;
};

}  // namespace lmcache::engine
