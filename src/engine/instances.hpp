// Registered engine workers: their geometry, mapped memory, and whether they still live.
//
// A worker lives as long as a connection it has used is open (a dead peer's connection is closed by
// TCP or by our heartbeat); with its last connection goes the worker and its mappings. Transfers
// under way hold their own reference, so memory is unmapped when the last copy ends. The reap
// timeout only matters where connections prove nothing: with heartbeats switched off, or where no
// peer of the worker answers them (ZMTP 3.0).
//
// Threads: any; ping runs on I/O threads, so nothing slow happens under the mutex (mappings are
// destroyed by the caller after it is released).
#pragma once

#include "copy/segment.hpp"
#include "engine/token_chain.hpp"
#include "gpu/transfer.hpp"
#include "net/handler.hpp"
#include "obs/metrics.hpp"
#include "wire/requests.hpp"

#include <lmcache/cache.hpp>
#include <lmcache/geometry.hpp>

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace lmcache::engine {

/// Bytes of the objects that a worker has stored and retrieved since it registered, each counted
/// when its transfer has ended well. Any thread.
struct Moved {
  obs::Counter stored_bytes, retrieved_bytes;
};

/// One registration; immutable but for what it counts. bases[t] is where tensor t's memory starts,
/// mapped here or on the worker's GPU (nullptr for an empty tensor).
struct Instance {
  wire::InstanceId id = 0;
  std::string model;
  std::uint32_t world_size = 1;
  Geometry geometry;
  LayoutPtr layout;
  std::vector<copy::SegmentPtr> segments;  ///< of a CPU worker
  gpu::MemoryPtr memory;                   ///< of a GPU worker
  std::vector<std::byte*> bases;
  mutable Moved moved;
};
using InstancePtr = std::shared_ptr<const Instance>;

class Instances {
 public:
  void open(net::PeerId peer);
  /// The connection has gone; returns the workers that went with it (to be destroyed outside of any
  /// lock).
  [[nodiscard]] std::vector<InstancePtr> close(net::PeerId peer);
  /// The connection ends when its peer falls silent: while it is open, its workers live.
  void prove(net::PeerId peer);

  /// A registration was received: pings of the id are answered true from now on. Ended by put() or
  /// forget_announced().
  void announce(net::PeerId peer, wire::InstanceId id);
  void forget_announced(net::PeerId peer, wire::InstanceId id);
  /// Replaces an earlier registration of the id atomically. Returns what it replaced; nothing is
  /// kept for a connection that has gone.
  InstancePtr put(net::PeerId peer, InstancePtr instance, Clock::time_point now);
  InstancePtr remove(wire::InstanceId id);

  /// nullptr if unknown. Marks the worker as alive and the connection as one of its own.
  [[nodiscard]] InstancePtr find(net::PeerId peer, wire::InstanceId id, Clock::time_point now);
  /// False at the first ping of an unknown id on a connection, so that the worker registers again;
  /// true later, so that it gets the chance to.
  [[nodiscard]] bool ping(net::PeerId peer, wire::InstanceId id, Clock::time_point now);

  /// Layouts (one per fingerprint) that live workers of (model, world size) have registered;
  /// `except` is left out.
  [[nodiscard]] std::vector<LayoutPtr> layouts(
      const std::string& model, std::uint32_t world_size,
      std::optional<wire::InstanceId> except = std::nullopt) const;

  /// Workers silent for too long, of those that no connection proves alive; returned to be
  /// destroyed outside of any lock.
  [[nodiscard]] std::vector<InstancePtr> reap(Clock::time_point silent_before,
                                              Clock::time_point never_pinged_before);
  /// Every registered worker, by id.
  [[nodiscard]] std::vector<InstancePtr> all() const;
  [[nodiscard]] std::size_t size() const;

  /// Whether the connection may register one more, or this one again: it may have
  /// kRegistrationsPerPeer workers that it registered or named.
  [[nodiscard]] bool may_register(net::PeerId peer, wire::InstanceId id) const;

  static constexpr std::size_t kUnknownPingsPerPeer = 4096;
  static constexpr std::size_t kRegistrationsPerPeer = 256;

 private:
  struct Entry {
    InstancePtr instance;
    std::unordered_set<net::PeerId> peers;
    Clock::time_point last_seen;
    bool pinged = false;
  };
  struct Peer {
    std::unordered_set<wire::InstanceId> used;            // workers this connection has named
    std::unordered_set<wire::InstanceId> told;            // unknown ids answered false once
    std::unordered_multiset<wire::InstanceId> announced;  // registrations in progress
    bool proven = false;                                  // silence would have ended it
  };

  /// Layouts of workers under one model and world size, by fingerprint.
  struct Shared {
    LayoutPtr layout;
    std::size_t workers = 0;
  };
  using Layouts = std::map<std::array<std::byte, 32>, Shared>;

  [[nodiscard]] bool proven(const Entry& entry) const;
  void count(const Instance& instance);
  void discount(const Instance& instance);
  InstancePtr erase(std::unordered_map<wire::InstanceId, Entry>::iterator entry);

  mutable std::mutex mutex_;  // guards everything below
  std::unordered_map<net::PeerId, Peer> peers_;
  std::unordered_map<wire::InstanceId, Entry> entries_;
  std::unordered_map<std::string, std::map<std::uint32_t, Layouts>> layouts_;
};

}  // namespace lmcache::engine
