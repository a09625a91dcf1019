// Random histories in a cache that has room for everything, against a naive model that predicts
// every answer.
#include <gmock/gmock.h>

#include <map>
#include <set>
#include <tuple>

#include "unit/cache/model_chains.hpp"

namespace lmcache::test {
namespace {

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

}  // namespace
}  // namespace lmcache::test
