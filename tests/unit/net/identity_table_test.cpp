#include "net/identity_table.hpp"

#include <gtest/gtest.h>

#include <string>

namespace lmcache::net {
namespace {

TEST(IdentityTable, GivesAnIdentityToOnePeerAtATimeInOrder) {
  IdentityTable table;
  std::string log;
  EXPECT_TRUE(table.claim("a", 1, [&] { log += '1'; }));
  EXPECT_FALSE(table.claim("a", 2, [&] { log += '2'; }));
  EXPECT_FALSE(table.claim("a", 3, [&] { log += '3'; }));
  EXPECT_TRUE(table.claim("b", 4, [&] { log += '4'; }));
  EXPECT_EQ(log, "");
  table.release("a", 1);
  EXPECT_EQ(log, "2");
  table.release("a", 2);
  EXPECT_EQ(log, "23");
  table.release("a", 3);
  table.release("b", 4);
  EXPECT_EQ(log, "23");
  EXPECT_EQ(table.size(), 0u);
}

TEST(IdentityTable, AWaitingPeerThatLeavesIsSkipped) {
  IdentityTable table;
  std::string log;
  EXPECT_TRUE(table.claim("a", 1, [] {}));
  EXPECT_FALSE(table.claim("a", 2, [&] { log += '2'; }));
  EXPECT_FALSE(table.claim("a", 3, [&] { log += '3'; }));
  table.release("a", 2);
  table.release("a", 1);
  EXPECT_EQ(log, "3");
  EXPECT_FALSE(table.claim("a", 5, [] {}));
}

TEST(IdentityTable, IsFreeAgainAfterTheLastRelease) {
  IdentityTable table;
  EXPECT_TRUE(table.claim("a", 1, [] {}));
  table.release("a", 1);
  table.release("a", 1);  // harmless
  EXPECT_TRUE(table.claim("a", 2, [] {}));
}

}  // namespace
}  // namespace lmcache::net
