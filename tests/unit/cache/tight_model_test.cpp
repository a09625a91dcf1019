// Random histories in a pool that is always too small, against a naive model of what eviction may
// and may not do.
#include <gmock/gmock.h>

#include <map>
#include <set>
#include <tuple>

#include "unit/cache/model_chains.hpp"

namespace lmcache::test {
namespace {

class TightModel {
 public:
  TightModel(const char* policy, unsigned seed)
      : random_(seed), cache_(pool_.memory(), {.policy = policy, .trigger_watermark = 0.8}) {
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
    EXPECT_GT(
        cache_.stats().evicted_bytes_for[static_cast<std::size_t>(EvictionReason::kWatermark)], 0u);
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

}  // namespace
}  // namespace lmcache::test
