#include "engine/lookups.hpp"

#include "obs/metrics.hpp"

#include <algorithm>

namespace lmcache::engine {

struct Lookups::Record {
  net::PeerId owner = 0;
  std::string request_id;
  Keyspace keyspace;
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
    return sizeof(Record) + request_id.size() +
           hashes.size() * (kOfAChunk + keyspace.world_size * sizeof spent[0]);
  }
  [[nodiscard]] std::uint32_t hit() const { return static_cast<std::uint32_t>(hashes.size()); }
  [[nodiscard]] bool same_request(const std::string& id, const Keyspace& ks) const {
    return request_id == id && keyspace == ks;
  }
  [[nodiscard]] bool covers(std::span<const ChunkHash> chain, std::uint32_t first,
                            std::uint32_t last) const {
    return first < last && last <= hit() && last <= chain.size() &&
           hashes[last - 1] == chain[last - 1];
  }
  [[nodiscard]] std::size_t cell(std::uint32_t rank, std::uint32_t chunk) const {
    return rank * hashes.size() + chunk;
  }
  [[nodiscard]] std::uint32_t spent_at(std::uint32_t rank, std::uint32_t chunk) const {
    return rank < keyspace.world_size && !spent.empty() ? spent[cell(rank, chunk)] : 0;
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
    if (rank >= keyspace.world_size) return;
    if (spent.empty()) spent.resize(keyspace.world_size * hashes.size(), 0);
    if (ranks_done.empty()) ranks_done.resize(hit(), 0);
    for (std::uint32_t chunk = last; chunk-- > first;) {
      std::uint8_t& gone = spent[cell(rank, chunk)];
      if (gone >= readers) continue;
      gone = static_cast<std::uint8_t>(std::min<std::uint32_t>(readers, gone + reads));
      if (gone == readers && ++ranks_done[chunk] == keyspace.world_size) release(chunk);
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
    while (!records.empty()) {
      const auto record = records.begin();
      auto& same_id = by_request_[record->request_id];
      std::erase(same_id, record);
      if (same_id.empty()) by_request_.erase(record->request_id);
      gone.splice(gone.end(), records, record);
    }
    peers_.erase(found);
    std::erase_if(scheduler_of_, [peer](const auto& entry) { return entry.second == peer; });
  }
  const auto held =
      std::ranges::count_if(gone, [](const Record& record) { return record.held > 0; });
  obs::metrics().leases_freed_by_death.add(static_cast<std::uint64_t>(held));
}

void Lookups::erase(Records::iterator record) {
  const auto same_id = by_request_.find(record->request_id);
  std::erase(same_id->second, record);
  if (same_id->second.empty()) by_request_.erase(same_id);
  Peer& peer = peers_.at(record->owner);
  peer.bytes -= record->bytes();
  peer.records.erase(record);
}

Lookups::Record* Lookups::find(net::PeerId owner, const std::string& request_id,
                               const Keyspace& keyspace) {
  const auto found = by_request_.find(request_id);
  if (found == by_request_.end()) return nullptr;
  for (const auto record : found->second) {
    if (record->owner == owner && record->keyspace == keyspace) return &*record;
  }
  return nullptr;
}

void Lookups::put(net::PeerId owner, const std::string& request_id, const Keyspace& keyspace,
                  std::span<const ChunkHash> hashes, Lease lease, std::uint32_t readers,
                  Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto peer = peers_.find(owner);
  if (peer == peers_.end()) return;
  auto& records = peer->second.records;
  if (const auto same_id = by_request_.find(request_id); same_id != by_request_.end()) {
    const auto old =
        std::find_if(same_id->second.begin(), same_id->second.end(), [&](Records::iterator record) {
          return record->owner == owner && record->same_request(request_id, keyspace);
        });
    if (old != same_id->second.end()) erase(*old);
  }
  Record& record = records.emplace_back();
  record.owner = owner;
  record.request_id = request_id;
  record.keyspace = keyspace;
  record.hashes.assign(hashes.begin(), hashes.end());
  record.held = lease.chunks();
  record.lease = std::move(lease);
  record.readers = readers;
  record.last_used = now;
  by_request_[request_id].push_back(std::prev(records.end()));
  std::size_t& bytes = peer->second.bytes;
  bytes += record.bytes();
  while (records.size() > 1 && (records.size() > kRecordsPerPeer || bytes > kRecordBytesPerPeer))
    erase(records.begin());
}

std::uint32_t Lookups::collect(net::PeerId owner, const std::string& request_id,
                               Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = by_request_.find(request_id);
  if (found == by_request_.end()) return 0;
  // The latest lookup first: it is the one whose result the caller has not seen.
  for (auto it = found->second.rbegin(); it != found->second.rend(); ++it) {
    Record& record = **it;
    if (record.owner != owner || record.collected) continue;
    record.collected = true;
    record.last_used = now;
    return record.hit();
  }
  return 0;
}

Lookups::Record* Lookups::match(const Reader& reader, const std::string& request_id,
                                const Keyspace& keyspace, std::span<const ChunkHash> chain,
                                std::uint32_t first, std::uint32_t last) {
  const auto found = by_request_.find(request_id);
  if (found == by_request_.end()) return nullptr;
  std::vector<Record*> able;
  for (const auto record : found->second) {
    if (record->same_request(request_id, keyspace) && record->covers(chain, first, last) &&
        record->may_read(reader, first, last)) {
      able.push_back(&*record);
    }
  }
  if (able.empty()) return nullptr;
  if (able.size() == 1) {
    constexpr std::size_t kInstancesMax = 65536;
    if (scheduler_of_.size() < kInstancesMax) scheduler_of_[reader.instance] = able.front()->owner;
    return able.front();
  }
  // Equal content under one id: any serves, but spending another engine's lease would leave that
  // engine without.
  const auto owned_by = [&](net::PeerId peer) {
    const auto it = std::find_if(able.begin(), able.end(),
                                 [peer](const Record* r) { return r->owner == peer; });
    return it == able.end() ? nullptr : *it;
  };
  if (Record* own = owned_by(reader.peer)) return own;
  if (const auto known = scheduler_of_.find(reader.instance); known != scheduler_of_.end()) {
    if (Record* own = owned_by(known->second)) return own;
  }
  return able.front();
}

Result<ReadPins> Lookups::read(const Reader& reader, const std::string& request_id,
                               const Keyspace& keyspace, std::span<const ChunkHash> chain,
                               std::uint32_t first, std::uint32_t last, Clock::time_point now,
                               const Open& open) {
  const std::lock_guard lock(mutex_);
  Record* record = match(reader, request_id, keyspace, chain, first, last);
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
  Record* record = find(owner, request_id, keyspace);
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
  const auto found = by_request_.find(request_id);
  if (found == by_request_.end()) return ended;
  const auto records = found->second;  // erase() edits the original
  for (const auto record : records) {
    if (record->owner != owner) continue;
    Ended& last = ended.emplace_back();
    last.keyspace = record->keyspace;
    last.hashes = record->hashes;  // a copy: what the record has is still counted
    erase(record);
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
      if (record->last_used < record_before) erase(record);
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
