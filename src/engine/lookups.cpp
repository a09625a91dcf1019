#include "engine/lookups.hpp"

#include "obs/metrics.hpp"

#include <algorithm>

namespace lmcache::engine {

struct Lookups::Record {
  net::PeerId owner = 0;
  const Name* name = nullptr;  // where by_name_ has it
  Records::iterator self;
  std::vector<ChunkHash> hashes;  // of the hit
  Lease lease;
  std::uint32_t held = 0;  // chunks that it still pins
  std::uint32_t readers = 1;
  bool collected = false;
  Clock::time_point last_used;

  struct Use {  // one retrieve: a reader reads a chunk at most once
    wire::InstanceId instance;
    std::uint32_t rank, first, last;
  };
  std::vector<Use> uses;
  // Both are made at the first use.
  std::vector<std::uint8_t> spent;        // [rank][chunk] reads gone
  std::vector<std::uint32_t> ranks_done;  // [chunk] ranks with no read left

  /// What it may take at most: its later use changes nothing.
  [[nodiscard]] std::size_t bytes() const {
    constexpr std::size_t kOfAChunk = sizeof(ChunkHash) + sizeof ranks_done[0];
    constexpr std::size_t kOfTheIndexes = sizeof(Name) + 256;  // about
    return sizeof(Record) + kOfTheIndexes + name->request_id.size() + keyspace().model.size() +
           keyspace().salt.size() +
           hashes.size() * (kOfAChunk + keyspace().world_size * sizeof spent[0]);
  }
  [[nodiscard]] const Keyspace& keyspace() const { return name->keyspace; }
  [[nodiscard]] std::uint32_t hit() const { return static_cast<std::uint32_t>(hashes.size()); }
  [[nodiscard]] bool covers(std::span<const ChunkHash> chain, std::uint32_t first,
                            std::uint32_t last) const {
    return first < last && last <= hit() && last <= chain.size() &&
           hashes[last - 1] == chain[last - 1];
  }
  [[nodiscard]] std::size_t cell(std::uint32_t rank, std::uint32_t chunk) const {
    return rank * hashes.size() + chunk;
  }
  [[nodiscard]] std::uint32_t spent_at(std::uint32_t rank, std::uint32_t chunk) const {
    return rank < keyspace().world_size && !spent.empty() ? spent[cell(rank, chunk)] : 0;
  }
  [[nodiscard]] bool may_read(const Reader& reader, std::uint32_t first, std::uint32_t last) const {
    const bool read_before = std::any_of(uses.begin(), uses.end(), [&](const Use& use) {
      return use.instance == reader.instance && use.rank == reader.rank && use.first < last &&
             first < use.last;
    });
    if (read_before) return false;
    for (std::uint32_t chunk = first; chunk < last; ++chunk) {
      if (!lease.holds(chunk) || spent_at(reader.rank, chunk) >= readers) return false;
    }
    return true;
  }
  void release(std::uint32_t chunk) {
    if (!lease.holds(chunk)) return;
    lease.release(chunk);
    --held;
  }
  void lapse() {
    lease = Lease{};
    held = 0;
  }
  // `reads` more of [first, last) are over for `rank`. From the end to the start, so that released
  // chunks keep prefix-first recency.
  void spend(std::uint32_t rank, std::uint32_t first, std::uint32_t last, std::uint32_t reads) {
    if (rank >= keyspace().world_size) return;
    if (spent.empty()) spent.resize(keyspace().world_size * hashes.size(), 0);
    if (ranks_done.empty()) ranks_done.resize(hit(), 0);
    for (std::uint32_t chunk = last; chunk-- > first;) {
      std::uint8_t& gone = spent[cell(rank, chunk)];
      if (gone >= readers) continue;
      gone = static_cast<std::uint8_t>(std::min<std::uint32_t>(readers, gone + reads));
      if (gone == readers && ++ranks_done[chunk] == keyspace().world_size) release(chunk);
    }
  }
};

Lookups::Lookups() = default;
Lookups::~Lookups() = default;

void Lookups::open(net::PeerId peer) {
  const std::lock_guard lock(mutex_);
  peers_.try_emplace(peer);
}

void Lookups::close(net::PeerId peer) {
  Records gone;  // leases are released after the lock is
  {
    const std::lock_guard lock(mutex_);
    const auto found = peers_.find(peer);
    if (found == peers_.end()) return;
    auto& records = found->second.records;
    for (auto record = records.begin(); record != records.end(); ++record)
      unlist(found->second, record);
    gone.splice(gone.end(), records);
    peers_.erase(found);
    std::erase_if(scheduler_of_, [peer](const auto& entry) { return entry.second == peer; });
  }
  const auto held =
      std::ranges::count_if(gone, [](const Record& record) { return record.held > 0; });
  obs::metrics().leases_freed_by_death.add(static_cast<std::uint64_t>(held));
}

/// Out of both indexes; its name has gone then, too.
void Lookups::unlist(Peer& peer, Records::iterator record) {
  const auto same_id = peer.by_request.find(record->name->request_id);
  std::erase(same_id->second, record);
  if (same_id->second.empty()) {
    peer.by_request.erase(same_id);
  } else {
    auto node = peer.by_request.extract(same_id);
    node.key() = node.mapped().front()->name->request_id;
    peer.by_request.insert(std::move(node));
  }
  const auto same_name = by_name_.find(*record->name);
  record->name = nullptr;
  same_name->second.erase(record->owner);
  if (same_name->second.empty()) by_name_.erase(same_name);
}

void Lookups::erase(Peer& peer, Records::iterator record) {
  peer.bytes -= record->bytes();
  unlist(peer, record);
  peer.records.erase(record);
}

Lookups::Record* Lookups::find(Peer& peer, const std::string& request_id,
                               const Keyspace& keyspace) {
  const auto found = peer.by_request.find(request_id);
  if (found == peer.by_request.end()) return nullptr;
  for (const auto record : found->second)
    if (record->keyspace() == keyspace) return &*record;
  return nullptr;
}

void Lookups::put(net::PeerId owner, const std::string& request_id, const Keyspace& keyspace,
                  std::span<const ChunkHash> hashes, Lease lease, std::uint32_t readers,
                  Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(owner);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if (Record* old = find(peer, request_id, keyspace)) erase(peer, old->self);
  const auto name = by_name_.try_emplace(Name{request_id, keyspace}).first;
  Record& record = peer.records.emplace_back();
  record.owner = owner;
  record.name = &name->first;
  record.self = std::prev(peer.records.end());
  record.hashes.assign(hashes.begin(), hashes.end());
  record.held = lease.chunks();
  record.lease = std::move(lease);
  record.readers = readers;
  record.last_used = now;
  name->second.emplace(owner, record.self);
  OfRequest& same_id = peer.by_request[name->first.request_id];
  same_id.push_back(record.self);
  peer.bytes += record.bytes();
  if (same_id.size() > kKeyspacesPerRequest) erase(peer, same_id.front());
  while (peer.records.size() > 1 &&
         (peer.records.size() > kRecordsPerPeer || peer.bytes > kRecordBytesPerPeer))
    erase(peer, peer.records.begin());
}

std::uint32_t Lookups::collect(net::PeerId owner, const std::string& request_id,
                               Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto peer = peers_.find(owner);
  if (peer == peers_.end()) return 0;
  const auto found = peer->second.by_request.find(request_id);
  if (found == peer->second.by_request.end()) return 0;
  // The latest lookup first: it is the one whose result the caller has not seen.
  for (auto it = found->second.rbegin(); it != found->second.rend(); ++it) {
    Record& record = **it;
    if (record.collected) continue;
    record.collected = true;
    record.last_used = now;
    return record.hit();
  }
  return 0;
}

Lookups::Record* Lookups::match(const Reader& reader, const Name& name,
                                std::span<const ChunkHash> chain, std::uint32_t first,
                                std::uint32_t last) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return nullptr;
  const Owners& owners = found->second;
  const auto able = [&](const Record& record) {
    return record.covers(chain, first, last) && record.may_read(reader, first, last);
  };
  // Equal content under one id: any serves, but spending another engine's lease would leave that
  // engine without.
  const auto owned_by = [&](net::PeerId peer) -> Record* {
    const auto record = owners.find(peer);
    return record != owners.end() && able(*record->second) ? &*record->second : nullptr;
  };
  if (Record* own = owned_by(reader.peer)) return own;
  if (const auto known = scheduler_of_.find(reader.instance); known != scheduler_of_.end()) {
    if (Record* own = owned_by(known->second)) return own;
  }
  Record* any = nullptr;
  for (const auto& [owner, record] : owners) {
    if (!able(*record)) continue;
    if (any) return any;
    any = &*record;
  }
  constexpr std::size_t kInstancesMax = 65536;
  if (any && scheduler_of_.size() < kInstancesMax) scheduler_of_[reader.instance] = any->owner;
  return any;
}

Result<ReadPins> Lookups::read(const Reader& reader, const std::string& request_id,
                               const Keyspace& keyspace, std::span<const ChunkHash> chain,
                               std::uint32_t first, std::uint32_t last, Clock::time_point now,
                               const Open& open) {
  const std::lock_guard lock(mutex_);
  Record* record = match(reader, {request_id, keyspace}, chain, first, last);
  if (!record) {
    return Error{
        Cause::kNotLeased,
        "no lease of this request covers the chunks; look up first, and retrieve each range once"};
  }
  auto pins = open(record->lease);
  record->uses.push_back({reader.instance, reader.rank, first, last});
  record->spend(reader.rank, first, last, 1);
  record->last_used = now;
  return pins;
}

void Lookups::free(net::PeerId owner, const std::string& request_id, const Keyspace& keyspace,
                   std::span<const ChunkHash> chain, std::uint32_t first, std::uint32_t last,
                   std::optional<std::uint32_t> rank, std::uint32_t readers,
                   Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto peer = peers_.find(owner);
  Record* record = peer == peers_.end() ? nullptr : find(peer->second, request_id, keyspace);
  if (!record) return;
  last = std::min(last, record->hit());
  if (!record->covers(chain, first, last)) return;
  record->collected = true;
  record->last_used = now;
  // A caller that gives up as many reads as it asked for means the rest of them, whatever was read
  // meanwhile.
  const std::uint32_t reads = readers >= record->readers ? record->readers : readers;
  const std::uint32_t rank_first = rank.value_or(0),
                      rank_last = rank ? *rank + 1 : keyspace.world_size;
  for (std::uint32_t r = rank_first; r < rank_last; ++r) record->spend(r, first, last, reads);
}

std::vector<Lookups::Ended> Lookups::end(net::PeerId owner, const std::string& request_id) {
  std::vector<Ended> ended;
  const std::lock_guard lock(mutex_);
  const auto peer = peers_.find(owner);
  if (peer == peers_.end()) return ended;
  const auto found = peer->second.by_request.find(request_id);
  if (found == peer->second.by_request.end()) return ended;
  const OfRequest records = found->second;  // erase() edits the original
  for (const auto record : records) {
    // A copy: what the record has is still counted.
    ended.push_back({record->keyspace(), record->hashes});
    erase(peer->second, record);
  }
  return ended;
}

std::size_t Lookups::expire(Clock::time_point lease_before, Clock::time_point record_before) {
  std::size_t lapsed = 0;
  const std::lock_guard lock(mutex_);
  for (auto& [id, peer] : peers_) {
    for (auto record = peer.records.begin(); record != peer.records.end();) {
      const auto next = std::next(record);
      if (record->last_used < lease_before && record->held > 0) {
        record->lapse();
        ++lapsed;
      }
      if (record->last_used < record_before) erase(peer, record);
      record = next;
    }
  }
  obs::metrics().leases_expired.add(lapsed);
  return lapsed;
}

std::size_t Lookups::size() const {
  const std::lock_guard lock(mutex_);
  std::size_t n = 0;
  for (const auto& [id, peer] : peers_) n += peer.records.size();
  return n;
}

std::size_t Lookups::leases() const {
  const std::lock_guard lock(mutex_);
  std::size_t n = 0;
  for (const auto& [id, peer] : peers_)
    for (const Record& record : peer.records) n += record.held > 0 ? 1 : 0;
  return n;
}

}  // namespace lmcache::engine
