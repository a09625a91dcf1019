#include "commands/prometheus.hpp"

#include <gmock/gmock.h>

#include <cmath>

namespace lmcache::commands {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

Sample only(const std::string& text) {
  const auto samples = parse_exposition(text).value();
  EXPECT_EQ(samples.size(), 1u) << text;
  return samples.at(0);
}

TEST(Exposition, HasNamesLabelsAndValues) {
  const auto samples = parse_exposition(
                           "# HELP a What a is\n# TYPE a counter\na 7\n\n"
                           "a_bucket{le=\"0.5\",operation=\"store\"} 1.5e3\nb{} -2 1700000000\n")
                           .value();
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[0].name, "a");
  EXPECT_EQ(samples[0].value, 7);
  EXPECT_THAT(samples[1].labels, ElementsAre(Pair("le", "0.5"), Pair("operation", "store")));
  EXPECT_EQ(samples[1].value, 1500);
  EXPECT_EQ(samples[2].value, -2);
}

TEST(Exposition, HasEscapesInLabels) {
  EXPECT_EQ(only(R"(a{m="x\"y\\z\n}, {",n="1"} 3)").label("m"), "x\"y\\z\n}, {");
  EXPECT_EQ(only(R"(a{m="",} 3)").label("m"), "");
}

TEST(Exposition, HasValuesThatAreNoNumbers) {
  EXPECT_TRUE(std::isnan(only("a NaN").value));
  EXPECT_TRUE(std::isinf(only("a +Inf").value));
}

TEST(Exposition, ThatIsNoneIsRefusedByLine) {
  for (const char* line : {"a", "a x", "a 1x", "{} 1", "a{b} 1", "a{b=c} 1", "a{b=\"c} 1",
                           "a{b=\"c\" 1", "a{", "a{b=\"\\", "<html>", "a{=\"\"} 1"}) {
    const auto parsed = parse_exposition(std::string("ok 1\n") + line);
    ASSERT_FALSE(parsed) << line;
    EXPECT_THAT(parsed.error().text, HasSubstr("line 2 "));
  }
}

TEST(Scrape, AddsSeriesUp) {
  const Scrape scrape(
      parse_exposition("a{x=\"1\",y=\"1\"} 1\na{x=\"1\",y=\"2\"} 2\na{x=\"2\",y=\"1\"} 4\nb 8\n")
          .value());
  EXPECT_EQ(scrape.sum("a"), 7);
  EXPECT_EQ(scrape.sum("a", {"y", "1"}), 5);
  EXPECT_EQ(scrape.sum("b"), 8);
  EXPECT_EQ(scrape.sum("c"), 0);
  EXPECT_THAT(scrape.sums_by("a", "x"), ElementsAre(Pair("1", 3), Pair("2", 4)));
  EXPECT_THAT(scrape.sums_by("a", "x", {"y", "2"}), ElementsAre(Pair("1", 2)));
  EXPECT_THAT(scrape.series("a"), testing::SizeIs(3));
}

}  // namespace
}  // namespace lmcache::commands
