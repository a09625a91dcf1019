#include "cache/names.hpp"

#include <gtest/gtest.h>

namespace lmcache::cache {
namespace {

LayoutPtr layout_of(std::uint8_t id, std::size_t groups) {
  auto layout = std::make_shared<ObjectLayout>();
  layout->fingerprint[31] = std::byte{id};
  layout->groups.resize(groups);
  return layout;
}

TEST(Keyspaces, AreRememberedWhileReferenced) {
  Keyspaces names;
  const Keyspace a{"m", "salt", 2};
  EXPECT_EQ(names.find(a), kNoId);
  const KeyspaceId id = names.acquire(a);
  EXPECT_EQ(names.acquire(a), id);
  names.add_reference(id);
  names.release(id);
  names.release(id);
  EXPECT_EQ(names.find(a), id);
  names.release(id);
  EXPECT_EQ(names.find(a), kNoId);
  EXPECT_EQ(names.size(), 0u);
}

TEST(Keyspaces, EveryPartOfTheNameCounts) {
  Keyspaces names;
  const KeyspaceId id = names.acquire({"m", "s", 1});
  EXPECT_EQ(names.find({"m2", "s", 1}), kNoId);
  EXPECT_EQ(names.find({"m", "", 1}), kNoId);
  EXPECT_EQ(names.find({"m", "s", 2}), kNoId);
  EXPECT_EQ(names.find({"ms", "", 1}), kNoId);
  EXPECT_EQ(names.find({"m", "s", 1}), id);
}

TEST(Keyspaces, NumbersAreUsedAgain) {
  Keyspaces names;
  for (int i = 0; i < 1000; ++i) {
    const KeyspaceId id = names.acquire({"m", std::to_string(i), 1});
    EXPECT_EQ(id, 0u);
    names.release(id);
  }
}

TEST(Layouts, KeepOffsetsPerShard) {
  Layouts layouts;
  const LayoutId id = layouts.acquire(layout_of(1, 3));
  LayoutSlot& slot = layouts[id];
  for (std::uint32_t i = 0; i < 1000; ++i) {
    ASSERT_EQ(slot.take_offsets(), i);
    for (std::uint64_t g = 0; g < 3; ++g) slot.offsets(i)[g] = i * 3 + g;
  }
  for (std::uint32_t i = 0; i < 1000; ++i)
    for (std::uint64_t g = 0; g < 3; ++g) ASSERT_EQ(slot.offsets(i)[g], i * 3 + g);
  slot.give_back_offsets(17);
  EXPECT_EQ(slot.take_offsets(), 17u);
}

TEST(Layouts, AreFoundByFingerprintWhileReferenced) {
  Layouts layouts;
  const LayoutId a = layouts.acquire(layout_of(1, 1));
  const LayoutId b = layouts.acquire(layout_of(2, 1));
  EXPECT_NE(a, b);
  EXPECT_EQ(layouts.acquire(layout_of(1, 1)), a);
  layouts.release(a);
  EXPECT_EQ(layouts.find(*layout_of(1, 1)), a);
  layouts.release(a);
  EXPECT_EQ(layouts.find(*layout_of(1, 1)), kNoId);
  EXPECT_EQ(layouts.find(*layout_of(2, 1)), b);
  EXPECT_EQ(layouts.size(), 1u);
}

}  // namespace
}  // namespace lmcache::cache
