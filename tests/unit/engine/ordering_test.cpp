#include "engine/ordering.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace lmcache::engine {
namespace {

/// Enters requests and notes in which order they get their turn.
struct Line {
  Ordering ordering;
  std::vector<std::string> ran;
  std::map<std::string, Ordering::TurnPtr> turns;

  void enter(const std::string& name, std::vector<OrderKey> keys) {
    Ordering::TurnPtr turn;
    const bool now = ordering.enter(
        keys, [this, name](const Ordering::TurnPtr&) { ran.push_back(name); }, turn);
    turns[name] = turn;
    if (now) ran.push_back(name);
  }
  void finish(const std::string& name) { ordering.finish(turns.at(name)); }
};

const OrderKey kInstance = wire::InstanceId{7};
const OrderKey kRequest = std::string("r");

TEST(Ordering, SameKeyWaitsOtherKeysDoNot) {
  Line line;
  line.enter("store", {kInstance, kRequest});
  line.enter("unregister", {kInstance});
  line.enter("end", {kRequest});
  line.enter("other", {OrderKey{std::string("q")}});
  EXPECT_EQ(line.ran, (std::vector<std::string>{"store", "other"}));
  line.finish("store");
  EXPECT_EQ(line.ran, (std::vector<std::string>{"store", "other", "unregister", "end"}));
}

TEST(Ordering, AnInstanceAndARequestOfTheSameTextAreDifferentKeys) {
  Line line;
  line.enter("a", {OrderKey{wire::InstanceId{1}}});
  line.enter("b", {OrderKey{std::string("1")}});
  EXPECT_EQ(line.ran.size(), 2u);
}

TEST(Ordering, AJoinWaitsForBothBranches) {
  Line line;
  line.enter("a", {kInstance});
  line.enter("b", {kRequest});
  line.enter("join", {kInstance, kRequest});
  line.enter("after", {kRequest});
  line.finish("b");
  EXPECT_EQ(line.ran.size(), 2u);
  line.finish("a");
  EXPECT_EQ(line.ran.back(), "join");
  line.finish("join");
  EXPECT_EQ(line.ran.back(), "after");
}

TEST(Ordering, TheSameKeyTwiceInOneRequestDoesNotDeadlock) {
  Line line;
  line.enter("a", {kRequest, kRequest});
  EXPECT_EQ(line.ran.size(), 1u);
  line.enter("b", {kRequest, kRequest});
  line.finish("a");
  EXPECT_EQ(line.ran.size(), 2u);
  line.finish("b");
  EXPECT_EQ(line.ordering.pending(), 0u);
}

TEST(Ordering, RandomTrafficNeverReordersAKeyAndNothingIsLost) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 rng(seed);
  Line line;
  std::map<std::string, std::vector<OrderKey>> keys;
  std::set<std::string> open;
  std::size_t looked = 0;
  const auto started = [&] {
    for (; looked < line.ran.size(); ++looked) open.insert(line.ran[looked]);
  };
  for (int i = 0; i < 2000; ++i) {
    const std::string name = std::to_string(i);
    keys[name] = {OrderKey{wire::InstanceId(rng() % 3)},
                  OrderKey{std::string(1, static_cast<char>('a' + rng() % 4))}};
    line.enter(name, keys[name]);
    started();
    while (!open.empty() && rng() % 2) {
      const auto pick = std::next(open.begin(), static_cast<std::ptrdiff_t>(rng() % open.size()));
      const std::string done = *pick;
      open.erase(pick);
      line.finish(done);
      started();
    }
  }
  while (!open.empty()) {
    const std::string done = *open.begin();
    open.erase(open.begin());
    line.finish(done);
    started();
  }
  EXPECT_EQ(line.ran.size(), 2000u);
  EXPECT_EQ(line.ordering.pending(), 0u);
  std::map<OrderKey, int> last;
  for (const auto& name : line.ran) {
    for (const auto& key : keys[name]) {
      EXPECT_LT(last.contains(key) ? last[key] : -1, std::stoi(name));
      last[key] = std::stoi(name);
    }
  }
}

}  // namespace
}  // namespace lmcache::engine
