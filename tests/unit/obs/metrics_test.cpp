#include "obs/metrics.hpp"

#include "obs/seqlock.hpp"

#include <gmock/gmock.h>

#include <thread>
#include <vector>

namespace lmcache::obs {
namespace {

using Table = LabelTable<Counter, 2, 3>;

std::vector<std::string> rows_of(const Table& table) {
  std::vector<std::string> rows;
  table.for_each([&](const auto& labels, const Counter& row) {
    rows.push_back(labels[0] + "," + labels[1] + "=" + std::to_string(row.value()));
  });
  return rows;
}

TEST(LabelTable, ARowIsFoundAgain) {
  Table table;
  table.row({"model", "a"}).add();
  table.row({"model", "b"}).add(5);
  table.row({"model", "a"}).add();
  EXPECT_THAT(rows_of(table), testing::ElementsAre("model,a=2", "model,b=5"));
}

TEST(LabelTable, WhatIsTooManySharesARow) {
  Table table;
  for (int i = 0; i < 100; ++i) table.row({"m", std::to_string(i)}).add();
  EXPECT_THAT(rows_of(table), testing::ElementsAre("m,0=1", "m,1=1", "m,2=1", "other,other=97"));
  table.row({"m", "1"}).add();
  EXPECT_EQ(rows_of(table)[1], "m,1=2");
}

// A worker's id is new each time an engine starts; its model and device are not.
TEST(LabelTable, WhatIsTooManyKeepsTheLabelsThatAreFew) {
  LabelTable<Counter, 3, 3, 1> table;
  for (int i = 0; i < 100; ++i)
    table.row({"cuda", "worker " + std::to_string(i), i % 4 == 0 ? "big" : "small"}).add();
  std::vector<std::string> rows;
  table.for_each([&](const auto& labels, const Counter& row) {
    rows.push_back(labels[0] + "," + labels[1] + "," + labels[2] + "=" +
                   std::to_string(row.value()));
  });
  EXPECT_THAT(rows, testing::ElementsAre("cuda,worker 0,big=1", "cuda,worker 1,small=1",
                                         "cuda,worker 2,small=1", "cuda,other,small=73",
                                         "cuda,other,big=24"));
}

TEST(LabelTable, WhatSharesRowsIsBoundedToo) {
  LabelTable<Counter, 2, 3, 1> table;
  for (int i = 0; i < 100; ++i) table.row({"m" + std::to_string(i), "s"}).add();
  std::size_t rows = 0;
  std::uint64_t last = 0;
  table.for_each([&](const auto&, const Counter& row) {
    ++rows;
    last = row.value();
  });
  EXPECT_EQ(rows, 3u + table.kSharedRowsMax + 1);
  EXPECT_EQ(last, 100 - 3 - table.kSharedRowsMax);
}

TEST(LabelTable, LabelsAreShownCleanAndShort) {
  Table table;
  table.row({std::string(1000, 'a'), "x\ny"}).add();
  table.for_each([](const auto& labels, const Counter&) {
    EXPECT_EQ(labels[0].size(), Table::kLabelBytes);
    EXPECT_EQ(labels[1], "x?y");
  });
}

TEST(LabelTable, LabelsThatLookTheSameShareARow) {
  Table table;
  table.row({"m", "x\ny"}).add();
  table.row({"m", "x\ty"}).add(2);
  table.row({"m", "x\ny"}).add();
  EXPECT_THAT(rows_of(table), testing::ElementsAre("m,x?y=4"));
}

TEST(LabelTable, ReadersNeedNoLockWhileItGrows) {
  LabelTable<Counter, 1, 64> table;
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 2000; ++i) table.row({std::to_string(i % 80)}).add();
    done = true;
  });
  std::uint64_t last = 0;
  for (bool more = true; more;) {
    more = !done;
    std::uint64_t sum = 0;
    table.for_each([&](const auto&, const Counter& row) { sum += row.value(); });
    EXPECT_GE(sum, last);
    last = sum;
  }
  writer.join();
  EXPECT_EQ(last, 2000u);
}

TEST(Seqlock, AReaderGetsOnePublication) {
  struct Pair {
    std::uint64_t a = 0, b = 0;
  };
  Seqlock<Pair> published;
  EXPECT_EQ(published.read().a, 0u);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (std::uint64_t i = 1; i <= 20000; ++i) published.publish({i, ~i});
    done = true;
  });
  while (!done) {
    const Pair pair = published.read();
    if (pair.a != 0) {
      EXPECT_EQ(pair.b, ~pair.a);
    }
  }
  writer.join();
  EXPECT_EQ(published.read().a, 20000u);
}

}  // namespace
}  // namespace lmcache::obs
