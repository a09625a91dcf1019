// What lookups have promised and to whom: one record per (connection, request id, keyspace), each
// the owner of its lease. Found by connection and id, which have few keyspaces, and by id and
// keyspace, which have a record per connection at most: nothing that one connection does costs
// others more than that.
//
// A record belongs to the connection that looked up. Its result is collected once. Its leased
// chunks serve `readers` retrieves per rank, by as many instances, from any connection: a retrieve
// is matched by request id, keyspace and token chain, so equal ids of two engines never meet. A
// chunk's pin goes when every rank has had its readers, or by free_lookup_locks, end_session, a new
// lookup of the same request, the connection's end, or, as a backstop, its TTL since last use.
// Everything is counted per record, so releasing twice is harmless.
//
// Threads: any; one mutex, which ranks before the cache's (the cache is called with it held, never
// the other way round).
#pragma once

#include "engine/token_chain.hpp"
#include "net/handler.hpp"
#include "wire/requests.hpp"

#include <lmcache/cache.hpp>
#include <lmcache/keyed_hash.hpp>

#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace lmcache::engine {

class Lookups {
 public:
  Lookups();
  ~Lookups();
  void open(net::PeerId peer);
  /// The connection has gone: all its records and leases go with it.
  void close(net::PeerId peer);

  /// Records a finished lookup, replacing an earlier one of the same (owner, id, keyspace).
  /// `hashes` is the hit's chain. A connection that has gone meanwhile gets no record (its lease is
  /// dropped). At most kRecordsPerPeer of together kRecordBytesPerPeer are kept per connection (and
  /// the newest always), kKeyspacesPerRequest of them per request id: the oldest goes first.
  void put(net::PeerId owner, const std::string& request_id, const Keyspace& keyspace,
           std::span<const ChunkHash> hashes, Lease lease, std::uint32_t readers,
           Clock::time_point now);

  /// The hit in chunks, once; 0 for an unknown or already collected request.
  [[nodiscard]] std::uint32_t collect(net::PeerId owner, const std::string& request_id,
                                      Clock::time_point now);

  struct Reader {
    net::PeerId peer = 0;
    wire::InstanceId instance = 0;
    std::uint32_t rank = 0;
  };
  using Open = std::function<Result<ReadPins>(const Lease&)>;
  /// Spends one read of chunks [first, last) for `reader`. `open` is called with the matching
  /// record's lease and must pin what is read; the spent leases go whatever it returns. kNotLeased
  /// when no record of this request covers the range or the reader has read it before.
  [[nodiscard]] Result<ReadPins> read(const Reader& reader, const std::string& request_id,
                                      const Keyspace& keyspace, std::span<const ChunkHash> chain,
                                      std::uint32_t first, std::uint32_t last,
                                      Clock::time_point now, const Open& open);

  /// free_lookup_locks: gives up `readers` reads of chunks [first, last) by `rank` (all ranks if
  /// absent); collects the result.
  void free(net::PeerId owner, const std::string& request_id, const Keyspace& keyspace,
            std::span<const ChunkHash> chain, std::uint32_t first, std::uint32_t last,
            std::optional<std::uint32_t> rank, std::uint32_t readers, Clock::time_point now);

  struct Ended {
    Keyspace keyspace;
    std::vector<ChunkHash> hashes;
  };
  /// end_session: forgets the request's records of this connection; returns what they had hit, for
  /// recency.
  [[nodiscard]] std::vector<Ended> end(net::PeerId owner, const std::string& request_id);

  /// Leases unused since `lease_before` are given up, records unused since `record_before`
  /// forgotten. Returns the leases that lapsed.
  std::size_t expire(Clock::time_point lease_before, Clock::time_point record_before);

  [[nodiscard]] std::size_t size() const;
  /// Records whose lease still pins something.
  [[nodiscard]] std::size_t leases() const;

  static constexpr std::size_t kRecordsPerPeer = 16384;
  static constexpr std::size_t kKeyspacesPerRequest = 16;
  static constexpr std::size_t kRecordBytesPerPeer = std::size_t{64}
                                                     << 20;  ///< rows of ranks included

 private:
  struct Record;
  using Records = std::list<Record>;
  /// Of one connection and request id, oldest first.
  using OfRequest = std::vector<Records::iterator>;
  struct Name {
    std::string request_id;
    Keyspace keyspace;
    friend bool operator==(const Name&, const Name&) = default;
  };
  struct NameHash {
    KeyedHash hash;
    std::size_t operator()(const Name& name) const noexcept {
      const auto& [model, salt, world_size] = name.keyspace;
      return hash(name.request_id, hash(salt, hash(model, world_size)));
    }
  };
  using Owners = std::map<net::PeerId, Records::iterator>;
  struct Peer {
    Records records;  // oldest first
    std::size_t bytes = 0;
    /// By request id; the key lies in the name of one of the records.
    std::unordered_map<std::string_view, OfRequest, KeyedHash> by_request;
  };

  [[nodiscard]] Record* find(Peer& peer, const std::string& request_id, const Keyspace& keyspace);
  [[nodiscard]] Record* match(const Reader& reader, const Name& name,
                              std::span<const ChunkHash> chain, std::uint32_t first,
                              std::uint32_t last);
  void unlist(Peer& peer, Records::iterator record);
  void erase(Peer& peer, Records::iterator record);

  mutable std::mutex mutex_;  // guards everything below
  std::unordered_map<net::PeerId, Peer> peers_;
  std::unordered_map<Name, Owners, NameHash> by_name_;
  // Which scheduler's lookups a worker instance reads, learnt where only one record fits; decides
  // between equal records.
  std::unordered_map<wire::InstanceId, net::PeerId, KeyedHash> scheduler_of_;
};

}  // namespace lmcache::engine
