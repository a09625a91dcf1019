// Random histories against naive models. The first has room for everything and predicts every
// answer; the second lives in a pool that is always too small and checks what eviction may and may
// not do. All seeds are fixed.
#include <gmock/gmock.h>

#include <map>
#include <random>
#include <set>
#include <tuple>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

using Random = std::mt19937;

std::uint32_t below(Random& random, std::size_t n) {
  return static_cast<std::uint32_t>(random() % n);
}

/// Ten sequences that share beginnings of different lengths, like turns of a few conversations.
std::vector<ChunkHash> some_chain(Random& random, std::size_t longest) {
  static constexpr std::size_t kShared[] = {0, 2, 2, 4, 6, 0, 1, 1, 3, 8};
  const std::uint64_t which = random() % 10;
  std::vector<ChunkHash> chain = chain_of(which < 5 ? 100 : 200, longest);
  const std::vector<ChunkHash> own = chain_of(which, longest);
  for (std::size_t i = kShared[which]; i < longest; ++i) chain[i] = own[i];
  chain.resize(random() % longest + 1);
  return chain;
}

// ---------------------------------------------------------------------------- enough memory

using ObjectName = std::tuple<std::uint32_t, std::uint8_t, std::uint32_t>;  // rank, layout, group

struct ModelChunk {
  std::set<ObjectName> objects;
  int pins = 0;
};
using ModelChunkPtr = std::shared_ptr<ModelChunk>;

class RoomyModel {
 public:
  explicit RoomyModel(unsigned seed) : random_(seed) {}

  void step() {
    switch (below(random_, 16)) {
      case 0:
      case 1:
      case 2:
        return look_up();
      case 3:
      case 4:
      case 5:
        return reserve_some();
      case 6:
      case 7:
        return commit_one();
      case 8:
        return drop_ticket();
      case 9:
      case 10:
        return release_some();
      case 11:
      case 12:
        return read_some();
      case 13:
        return drop_read();
      case 14:
        return cache_.touch(some_keyspace(), some_chain(random_, 9));
      default:
        if (below(random_, 12) == 0) clear(below(random_, 2) == 0);
    }
  }

  void check_stats() {
    std::set<ModelChunkPtr> all(detached_.begin(), detached_.end());
    for (const auto& [key, chunk] : index_) all.insert(chunk);
    std::uint64_t objects = 0;
    std::uint64_t pinned = 0;
    for (const ModelChunkPtr& chunk : all) {
      objects += chunk->objects.size();
      if (chunk->pins > 0) ++pinned;
    }
    std::uint64_t reserved = 0;
    for (const OpenTicket& t : tickets_) reserved += t.ticket.objects().size();
    const CacheStats stats = cache_.stats();
    ASSERT_EQ(stats.objects, objects);
    ASSERT_EQ(stats.chunks, index_.size());
    ASSERT_EQ(stats.pinned_chunks, pinned);
    ASSERT_EQ(stats.reserved_bytes, reserved * kUnit);
    ASSERT_EQ(stats.used_bytes, (objects + reserved) * kUnit);
    ASSERT_EQ(stats.free_bytes, stats.total_bytes - stats.used_bytes);
    ASSERT_EQ(stats.evicted_objects, 0u);
  }

  void finish() {
    tickets_.clear();
    reads_.clear();
    leases_.clear();
    cache_.clear(false);
    expect_empty(cache_);
    EXPECT_GT(long_hits_, 50) << "the histories hardly ever hit";
    EXPECT_GT(reads_checked_, 50);
  }

 private:
  using Key =
      std::tuple<std::uint32_t, std::array<std::byte, 32>>;  // world size stands for the keyspace
  struct OpenLease {
    Lease lease;
    Keyspace keyspace;
    std::vector<ChunkHash> chain;
    std::vector<ModelChunkPtr> chunks;  // nullptr: gap or released
  };
  struct OpenTicket {
    StoreTicket ticket;
    Side side;
    std::vector<ChunkHash> chain;
    std::vector<ModelChunkPtr> pinned;
  };
  struct OpenRead {
    ReadPins read;
    Side side;
    std::vector<ChunkHash> chain;
    std::vector<ModelChunkPtr> pinned;
  };

  Keyspace some_keyspace() { return {"model", "", below(random_, 2) + 1}; }
  LayoutPtr some_layout() { return layouts_[below(random_, layouts_.size())]; }
  static std::uint8_t number(const LayoutPtr& layout) {
    return std::to_integer<std::uint8_t>(layout->fingerprint[0]);
  }

  ModelChunkPtr find(const Keyspace& keyspace, const ChunkHash& hash) const {
    const auto found = index_.find({keyspace.world_size, hash.bytes});
    return found == index_.end() ? nullptr : found->second;
  }

  void unpin(ModelChunkPtr& chunk) {
    if (chunk && --chunk->pins == 0) std::erase(detached_, chunk);
    chunk = nullptr;
  }

  bool serves(const Keyspace& keyspace, std::span<const ChunkHash> chain, std::uint32_t rank,
              const LayoutPtr& layout) const {
    for (std::uint32_t g = 0; g < layout->groups.size(); ++g) {
      if (layout->groups[g].auxiliary) continue;
      const std::int32_t window = layout->groups[g].window_chunks;
      const std::size_t needed =
          window < 0 ? chain.size()
                     : std::min<std::size_t>(chain.size(), static_cast<std::size_t>(window));
      for (std::size_t i = chain.size() - needed; i < chain.size(); ++i) {
        const ModelChunkPtr chunk = find(keyspace, chain[i]);
        if (!chunk || !chunk->objects.contains({rank, number(layout), g})) return false;
      }
    }
    return true;
  }

  void look_up() {
    OpenLease open{{}, some_keyspace(), some_chain(random_, 9), {}};
    std::vector<LayoutPtr> layouts{some_layout()};
    if (below(random_, 2) == 0) layouts.push_back(some_layout());
    open.lease = cache_.lookup(open.keyspace, open.chain, layouts);
    std::size_t expected = open.chain.size();
    for (; expected > 0; --expected) {
      const auto prefix = std::span(open.chain).first(expected);
      bool all = true;
      for (std::uint32_t rank = 0; rank < open.keyspace.world_size; ++rank)
        all = all && std::ranges::any_of(layouts, [&](const LayoutPtr& layout) {
                return serves(open.keyspace, prefix, rank, layout);
              });
      if (all) break;
    }
    ASSERT_EQ(open.lease.chunks(), expected);
    if (expected > 2) ++long_hits_;
    for (std::size_t i = 0; i < expected; ++i) {
      open.chunks.push_back(find(open.keyspace, open.chain[i]));
      if (open.chunks.back()) ++open.chunks.back()->pins;
    }
    leases_.push_back(std::move(open));
    if (leases_.size() > 6) drop_lease(below(random_, leases_.size()));
  }

  void drop_lease(std::size_t which) {
    for (ModelChunkPtr& chunk : leases_[which].chunks) unpin(chunk);
    leases_.erase(leases_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  void release_some() {
    if (leases_.empty()) return;
    const std::size_t which = below(random_, leases_.size());
    if (below(random_, 3) == 0) return drop_lease(which);
    OpenLease& open = leases_[which];
    const std::uint32_t index = below(random_, 10);
    open.lease.release(index);
    if (index < open.chunks.size()) unpin(open.chunks[index]);
    ASSERT_FALSE(open.lease.holds(index));
  }

  void reserve_some() {
    OpenTicket open{{}, {some_keyspace(), 0, some_layout()}, some_chain(random_, 9), {}};
    open.side.rank = below(random_, open.side.keyspace.world_size);
    const std::uint32_t first = below(random_, 4) == 0 ? below(random_, open.chain.size() + 1) : 0;
    auto wanted = all_of(open.side.layout, open.chain.size() - first);
    for (auto& group : wanted)
      for (std::size_t i = 0; i < group.size(); ++i) group[i] = below(random_, 8) != 0;
    auto ticket = cache_.reserve(open.side.keyspace, open.side.rank, open.side.layout, open.chain,
                                 first, wanted);
    ASSERT_TRUE(ticket);
    open.ticket = std::move(*ticket);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> expected;
    for (std::uint32_t i = 0; i < open.chain.size(); ++i) {
      const ModelChunkPtr chunk = find(open.side.keyspace, open.chain[i]);
      if (chunk) ++chunk->pins;
      open.pinned.push_back(chunk);
      for (std::uint32_t g = 0; i >= first && g < wanted.size(); ++g)
        if (wanted[g][i - first] &&
            !(chunk && chunk->objects.contains({open.side.rank, number(open.side.layout), g})))
          expected.emplace_back(i, g);
    }
    ASSERT_EQ(places(open.ticket.objects()), expected);
    fill_objects(open.ticket, open.side, open.chain);
    tickets_.push_back(std::move(open));
    if (tickets_.size() > 4) commit_one();
  }

  void commit_one() {
    if (tickets_.empty()) return;
    const std::size_t which = below(random_, tickets_.size());
    OpenTicket open = std::move(tickets_[which]);
    tickets_.erase(tickets_.begin() + static_cast<std::ptrdiff_t>(which));
    for (const auto& [i, group] : places(open.ticket.objects())) {
      auto& chunk = index_[{open.side.keyspace.world_size, open.chain[i].bytes}];
      if (!chunk) chunk = std::make_shared<ModelChunk>();
      chunk->objects.insert({open.side.rank, number(open.side.layout), group});
    }
    for (ModelChunkPtr& chunk : open.pinned) unpin(chunk);
    cache_.commit(std::move(open.ticket));
  }

  void drop_ticket() {
    if (tickets_.empty()) return;
    for (ModelChunkPtr& chunk : tickets_.back().pinned) unpin(chunk);
    tickets_.pop_back();
  }

  void read_some() {
    if (leases_.empty()) return;
    const OpenLease& from = leases_[below(random_, leases_.size())];
    OpenRead open{{}, {from.keyspace, 0, some_layout()}, from.chain, {}};
    open.side.rank = below(random_, open.side.keyspace.world_size);
    const std::uint32_t first = below(random_, from.lease.chunks() + 1);
    const std::uint32_t last = first + below(random_, from.lease.chunks() - first + 1);
    std::vector<std::pair<std::uint32_t, std::uint32_t>> expected;
    bool possible = true;
    bool known = false;
    for (const auto& [key, chunk] : index_)
      for (const auto& [rank, layout, group] : chunk->objects)
        known |= layout == number(open.side.layout);
    for (std::uint32_t i = first; i < last; ++i) {
      possible = possible && from.lease.holds(i);
      for (std::uint32_t g = 0; g < open.side.layout->groups.size(); ++g) {
        const auto& group = open.side.layout->groups[g];
        if (group.auxiliary) continue;
        if (group.window_chunks > 0 && last - i > static_cast<std::uint32_t>(group.window_chunks))
          continue;
        possible = possible && from.chunks[i] &&
                   from.chunks[i]->objects.contains({open.side.rank, number(open.side.layout), g});
        expected.emplace_back(i, g);
      }
    }
    auto read = cache_.open_read(from.lease, open.side.rank, open.side.layout, first, last);
    if (first == last && !known) return;  // nothing asked of a layout that may be unknown
    ASSERT_EQ(read.has_value(), possible);
    if (!possible) return;
    ++reads_checked_;
    open.read = std::move(*read);
    ASSERT_EQ(places(open.read.objects()), expected);
    std::set<std::uint32_t> chunks;
    for (const auto& [i, group] : expected) chunks.insert(i);
    for (const std::uint32_t i : chunks) {
      ++from.chunks[i]->pins;
      open.pinned.push_back(from.chunks[i]);
    }
    reads_.push_back(std::move(open));
    if (reads_.size() > 4) drop_read();
  }

  void drop_read() {
    if (reads_.empty()) return;
    const std::size_t which = below(random_, reads_.size());
    OpenRead& open = reads_[which];
    expect_own_bytes(open.read, open.side, open.chain);
    for (ModelChunkPtr& chunk : open.pinned) unpin(chunk);
    reads_.erase(reads_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  void clear(bool force) {
    cache_.clear(force);
    std::erase_if(index_, [&](const auto& entry) {
      if (entry.second->pins > 0 && force) detached_.push_back(entry.second);
      return entry.second->pins == 0 || force;
    });
  }

  static LayoutPtr with_auxiliary() {
    auto layout = std::make_shared<ObjectLayout>(*layout_of(4, {-1, -1}));
    layout->groups[1].auxiliary = true;
    return layout;
  }

  Random random_;
  Pool pool_{1200};
  Cache cache_{pool_.memory(), {}};
  std::vector<LayoutPtr> layouts_{layout_of(1, {-1, 2}), layout_of(2, {1, 3}), layout_of(3, {-1}),
                                  with_auxiliary()};
  std::map<Key, ModelChunkPtr> index_;
  std::vector<ModelChunkPtr> detached_;
  std::vector<OpenLease> leases_;
  std::vector<OpenTicket> tickets_;
  std::vector<OpenRead> reads_;
  int long_hits_ = 0, reads_checked_ = 0;
};

class Roomy : public testing::TestWithParam<unsigned> {};

TEST_P(Roomy, EveryAnswerIsTheModels) {
  RoomyModel model(GetParam());
  for (int i = 0; i < 4000; ++i) {
    ASSERT_NO_FATAL_FAILURE(model.step()) << "step " << i;
    ASSERT_NO_FATAL_FAILURE(model.check_stats()) << "step " << i;
  }
  model.finish();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Roomy, testing::Range(1u, 5u));

// ---------------------------------------------------------------------------- never enough memory

class TightModel {
 public:
  TightModel(const char* policy, unsigned seed)
      : random_(seed), cache_(pool_.memory(), {.policy = policy}) {
    for (unsigned i = 0; i < 400; ++i) {
      const auto chain = some_chain(random_, 9);
      for (std::size_t k = 0; k < chain.size(); ++k)
        before_[chain[k].bytes] = k == 0 ? std::nullopt : std::optional(chain[k - 1].bytes);
    }
  }

  void step() {
    switch (below(random_, 9)) {
      case 0:
      case 1:
      case 2:
        return store_some();
      case 3:
        return commit_one();
      case 4:
      case 5:
        return look_up();
      case 6:
        if (!leases_.empty()) leases_.erase(leases_.begin() + below(random_, leases_.size()));
        return;
      case 7:
        return read_some();
      default:
        cache_.evict_above_watermark();
        if (leases_.empty() && tickets_.empty()) cache_.clear(below(random_, 2) == 0);
    }
  }

  /// No hole, nothing leased gone, and the bytes add up.
  void check() {
    const std::set<Bytes> resident = probe();
    for (const Bytes& hash : resident)
      if (before_[hash]) {
        ASSERT_TRUE(resident.contains(*before_[hash])) << "a prefix has a hole";
      }
    for (const Bytes& hash : pinned()) ASSERT_TRUE(resident.contains(hash)) << "leased and gone";
    std::uint64_t reserved = 0;
    for (const auto& open : tickets_) reserved += open.ticket.objects().size();
    ASSERT_EQ(cache_.stats().used_bytes, resident.size() * 2 * kUnit + reserved * kUnit);
  }

  void finish() {
    tickets_.clear();
    leases_.clear();
    EXPECT_GT(cache_.stats().evicted_objects, 500u);
    EXPECT_GT(refused_, 10);
    cache_.clear(false);
    expect_empty(cache_);
  }

 private:
  using Bytes = std::array<std::byte, 32>;
  struct OpenLease {
    Lease lease;
    std::vector<ChunkHash> chain;
  };
  struct OpenTicket {
    StoreTicket ticket;
    std::vector<ChunkHash> chain;
    std::set<Bytes> found;  // resident when it was made
  };

  std::set<Bytes> probe() {
    std::set<Bytes> resident;
    for (const auto& [bytes, before] : before_) {
      const ChunkHash hash{bytes};
      if (hit(cache_, side_, std::span(&hash, 1)) == 1) resident.insert(bytes);
    }
    return resident;
  }

  std::set<Bytes> pinned() const {
    std::set<Bytes> pinned;
    for (const OpenLease& open : leases_)
      for (std::uint32_t i = 0; i < open.lease.chunks(); ++i) pinned.insert(open.chain[i].bytes);
    for (const OpenTicket& open : tickets_) pinned.insert(open.found.begin(), open.found.end());
    return pinned;
  }

  /// A store succeeds iff what is not leased, nor needed by what is, nor being stored makes room.
  void store_some() {
    const auto chain = some_chain(random_, 9);
    const std::set<Bytes> resident = probe();
    std::set<Bytes> held = pinned();
    OpenTicket open{{}, chain, {}};
    std::uint64_t needed = 0;
    for (const ChunkHash& hash : chain) {
      if (!resident.contains(hash.bytes))
        needed += 2 * kUnit;
      else
        open.found.insert(hash.bytes);
    }
    held.insert(open.found.begin(), open.found.end());
    std::uint64_t busy = held.size() * 2 * kUnit;
    for (const OpenTicket& other : tickets_) busy += other.ticket.objects().size() * kUnit;
    // Single chunks out of the middle, without the prefix before them: now they are younger than
    // their parents, and the policy wants to evict the parents first.
    for (int i = 0; i < 4; ++i) {
      const auto touched = some_chain(random_, 9);
      cache_.touch(side_.keyspace, std::span(touched).last(1));
    }
    const std::uint64_t evicted = cache_.stats().evicted_objects;
    auto ticket = reserve(cache_, side_, chain);
    ASSERT_EQ(ticket.has_value(), needed + busy <= cache_.stats().total_bytes);
    if (!ticket) {
      ++refused_;
      ASSERT_EQ(cache_.stats().evicted_objects, evicted);
      return;
    }
    fill_objects(*ticket, side_, chain);
    open.ticket = std::move(*ticket);
    tickets_.push_back(std::move(open));
    if (tickets_.size() > 2) commit_one();
  }

  void commit_one() {
    if (tickets_.empty()) return;
    OpenTicket open = std::move(tickets_.front());
    tickets_.erase(tickets_.begin());
    const auto chain = open.chain;
    cache_.commit(std::move(open.ticket));
    ASSERT_EQ(hit(cache_, side_, chain), chain.size()) << "every object of a store is resident";
  }

  void look_up() {
    OpenLease open{{}, some_chain(random_, 9)};
    open.lease = lookup(cache_, side_, open.chain);
    leases_.push_back(std::move(open));
    if (leases_.size() > 3) leases_.erase(leases_.begin());
  }

  void read_some() {
    for (const OpenLease& open : leases_) {
      const auto read = cache_.open_read(open.lease, 0, side_.layout, 0, open.lease.chunks());
      if (open.lease.chunks() == 0) continue;
      ASSERT_TRUE(read);
      expect_own_bytes(*read, side_, open.chain);
    }
  }

  Random random_;
  Pool pool_{31};
  Cache cache_;
  Side side_ = with_layout(layout_of(1, {-1, -1}));
  std::map<Bytes, std::optional<Bytes>> before_;  // every chunk there is, and the one before it
  std::vector<OpenLease> leases_;
  std::vector<OpenTicket> tickets_;
  int refused_ = 0;
};

constexpr const char* kPolicies[] = {"LRU", "LFU", "ARC", "S3FIFO", "WTINYLFU", "IsolatedLRU"};

class Tight : public testing::TestWithParam<std::tuple<const char*, unsigned>> {};

TEST_P(Tight, EvictionKeepsItsPromises) {
  const auto [policy, seed] = GetParam();
  TightModel model(policy, seed);
  for (int i = 0; i < 1500; ++i) {
    ASSERT_NO_FATAL_FAILURE(model.step()) << "step " << i;
    ASSERT_NO_FATAL_FAILURE(model.check()) << "step " << i;
  }
  model.finish();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Tight,
                         testing::Combine(testing::ValuesIn(kPolicies), testing::Range(1u, 5u)));

// ------------------------------------------------------------- never enough memory, and windows

/// Windowed objects come and go by themselves here. What must hold whatever goes: the full groups
/// have no holes, a hit can be read to its end while its lease lives, and a store that has been
/// committed can be hit to its end.
class WindowedModel {
 public:
  WindowedModel(const char* policy, unsigned seed)
      : random_(seed), cache_(pool_.memory(), {.policy = policy}) {}

  void step() {
    switch (below(random_, 8)) {
      case 0:
      case 1:
      case 2:
        return store_some();
      case 3:
        cache_.evict_above_watermark();
        if (below(random_, 20) == 0) cache_.clear(below(random_, 2) == 0);
        return;
      case 4:
        if (!leases_.empty()) leases_.erase(leases_.begin() + below(random_, leases_.size()));
        return;
      default:
        return look_up();
    }
  }

  /// Every lease that clear(force) has not come across is still good for what it was given for.
  void check() {
    for (const OpenLease& open : leases_) {
      const std::uint32_t length = open.lease.chunks();
      if (length == 0) continue;
      const auto read = cache_.open_read(open.lease, 0, side_.layout, 0, length);
      ASSERT_TRUE(read) << read.error().text;
      expect_own_bytes(*read, side_, open.chain);
    }
    const CacheStats stats = cache_.stats();
    ASSERT_EQ(stats.used_bytes, stats.objects * kUnit + stats.reserved_bytes);
    ASSERT_EQ(cache_.tenant("").used_bytes, stats.used_bytes);
  }

  void finish() {
    leases_.clear();
    const CacheStats stats = cache_.stats();
    EXPECT_GT(stats.thinned_objects, 200u);
    EXPECT_GT(stats.evicted_objects, stats.thinned_objects + 100);
    EXPECT_GT(stats.window_lost_chunks, 20u);
    EXPECT_GT(hits_, 100u);
    cache_.clear(false);
    expect_empty(cache_);
  }

 private:
  struct OpenLease {
    Lease lease;
    std::vector<ChunkHash> chain;
  };

  void store_some() {
    const auto chain = some_chain(random_, 14);
    const CacheStats before = cache_.stats();
    const std::uint32_t first = below(random_, 2) == 0 ? 0 : below(random_, chain.size());
    auto ticket = reserve(cache_, side_, chain, first);
    if (!ticket) {
      ASSERT_EQ(ticket.error().cause, Cause::kNoMemory);
      ASSERT_EQ(cache_.stats().evicted_objects, before.evicted_objects);
      return;
    }
    fill_objects(*ticket, side_, chain);
    cache_.commit(std::move(*ticket));
    if (first == 0) {
      ASSERT_EQ(hit(cache_, side_, chain), chain.size());
    }
  }

  void look_up() {
    OpenLease open{{}, some_chain(random_, 14)};
    const std::uint64_t lost = cache_.stats().window_lost_chunks;
    open.lease = lookup(cache_, side_, open.chain);
    hits_ += open.lease.chunks();
    // No hole: what is found of the whole is found of its beginning.
    const std::uint64_t full = open.lease.chunks() + cache_.stats().window_lost_chunks - lost;
    for (std::size_t n = 1; n <= full; ++n) {
      const std::uint64_t lost_before = cache_.stats().window_lost_chunks;
      const std::uint64_t found = hit(cache_, side_, std::span(open.chain).first(n));
      ASSERT_EQ(found + cache_.stats().window_lost_chunks - lost_before, n);
    }
    leases_.push_back(std::move(open));
    if (leases_.size() > 2) leases_.erase(leases_.begin());
  }

  Random random_;
  Pool pool_{45};
  Cache cache_;
  Side side_ = with_layout(layout_of(1, {-1, 2, 1}));
  std::vector<OpenLease> leases_;
  std::uint64_t hits_ = 0;
};

class Windowed : public testing::TestWithParam<std::tuple<const char*, unsigned>> {};

TEST_P(Windowed, ThinningKeepsItsPromises) {
  const auto [policy, seed] = GetParam();
  WindowedModel model(policy, seed);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_NO_FATAL_FAILURE(model.step()) << "step " << i;
    ASSERT_NO_FATAL_FAILURE(model.check()) << "step " << i;
  }
  model.finish();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Windowed,
                         testing::Combine(testing::ValuesIn(kPolicies), testing::Range(1u, 5u)));

}  // namespace
}  // namespace lmcache::test
