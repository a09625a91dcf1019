#include "obs/counters.hpp"

#include "obs/log.hpp"

#include <gmock/gmock.h>
#include <set>
#include <sstream>

namespace lmcache::obs {
namespace {

using testing::HasSubstr;
using testing::Not;

// The counters are the process's, and CTest runs each case in a process of its own; cases still use
// names of their own, so that the binary also passes as a whole.
std::uint64_t count_of(std::string_view operation, Cause cause) {
  for (const FailureCount& row : failure_counts()) {
    if (row.operation == operation && row.cause == cause) return row.count;
  }
  return 0;
}

class Counters : public testing::Test {
 protected:
  ~Counters() override { setup_logging({}); }
  std::ostringstream out_;
};

TEST_F(Counters, CountByOperationAndCause) {
  setup_logging({}, &out_);
  request_failed("op_a", {Cause::kBadRange, "x"}, "unix");
  request_failed("op_a", {Cause::kBadRange, "x"}, "unix");
  request_failed("op_a", {Cause::kNoMemory, "x"}, "unix");
  request_failed("op_b", {Cause::kBadRange, "x"}, "unix");
  EXPECT_EQ(count_of("op_a", Cause::kBadRange), 2u);
  EXPECT_EQ(count_of("op_a", Cause::kNoMemory), 1u);
  EXPECT_EQ(count_of("op_b", Cause::kBadRange), 1u);
}

TEST_F(Counters, AreSortedByOperationThenCause) {
  setup_logging({}, &out_);
  request_failed("sort_b", {Cause::kBadRange, ""}, "p");
  request_failed("sort_a", {Cause::kInternal, ""}, "p");
  request_failed("sort_a", {Cause::kMalformed, ""}, "p");
  const auto rows = failure_counts();
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::tie(a.operation, a.cause) < std::tie(b.operation, b.cause);
  }));
}

TEST_F(Counters, LogTheFirstOfAKindAndHoldTheRestBack) {
  setup_logging({}, &out_);
  request_failed("op_log", {Cause::kBadBlockIds, "group 1: id 9 of 0..7"}, "tcp 127.0.0.1:4711");
  EXPECT_THAT(out_.str(), HasSubstr("WARN  request failed operation=op_log cause=bad_block_ids "
                                    "peer=\"tcp 127.0.0.1:4711\" text=\"group 1: id 9 of 0..7\""));
  out_.str("");
  request_failed("op_log", {Cause::kBadBlockIds, "again"}, "p");
  EXPECT_EQ(out_.str(), "");
  request_failed("op_log", {Cause::kCopyFailed, "other cause"}, "p");
  EXPECT_THAT(out_.str(), HasSubstr("cause=copy_failed"));
}

TEST_F(Counters, CountButDoNotLogWhenFailureLinesAreOff) {
  setup_logging({Level::kInfo, LogFormat::kText, false}, &out_);
  request_failed("op_quiet", {Cause::kBadRange, "x"}, "p");
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(count_of("op_quiet", Cause::kBadRange), 1u);
}

TEST_F(Counters, HostileOperationNamesShareOneRow) {
  setup_logging({}, &out_);
  const auto malformed = count_of("unknown", Cause::kMalformed);
  request_failed("a\nb", {Cause::kMalformed, "x"}, "p");
  request_failed("", {Cause::kMalformed, "x"}, "p");
  request_failed("UPPER", {Cause::kMalformed, "x"}, "p");
  request_failed(std::string(65, 'a'), {Cause::kMalformed, "x"}, "p");
  EXPECT_EQ(count_of("unknown", Cause::kMalformed), malformed + 4);
  request_failed("looks_fine", {Cause::kUnknownOperation, "x"}, "p");
  EXPECT_EQ(count_of("looks_fine", Cause::kUnknownOperation), 0u);
  EXPECT_GE(count_of("unknown", Cause::kUnknownOperation), 1u);
  EXPECT_THAT(out_.str(), Not(HasSubstr("looks_fine")));
}

TEST_F(Counters, RowsAreBoundedAndNothingGoesUncounted) {
  setup_logging({Level::kError, LogFormat::kText, true}, &out_);
  const auto total = [] {
    std::uint64_t sum = 0;
    for (const FailureCount& row : failure_counts()) sum += row.count;
    return sum;
  };
  const auto before = total();
  for (int i = 0; i < 1000; ++i) {
    request_failed("flood_" + std::to_string(i), {Cause::kMalformed, "x"}, "p");
  }
  EXPECT_EQ(total(), before + 1000);
  std::set<std::string> operations;
  for (const FailureCount& row : failure_counts()) operations.insert(row.operation);
  EXPECT_LE(operations.size(), 65u);
}

TEST(CauseNames, AreDistinctSnakeCase) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(Cause::kInternal); ++i) {
    const auto name = to_string(static_cast<Cause>(i));
    EXPECT_THAT(std::string(name), testing::MatchesRegex("[a-z_]+"));
    EXPECT_TRUE(names.insert(name).second) << name;
  }
}

}  // namespace
}  // namespace lmcache::obs
