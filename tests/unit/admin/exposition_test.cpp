#include "admin/exposition.hpp"

#include "admin/metrics_catalog.hpp"

#include <gmock/gmock.h>

#include <fstream>
#include <set>
#include <sstream>

namespace lmcache::admin {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

TEST(Exposition, WritesAFamilyAndItsSamples) {
  Exposition out(Format::kText);
  out.family({"requests_total", MetricKind::kCounter, "", "", "Requests"});
  out.sample({{"op", "store"}, {"cause", "x"}}, std::uint64_t{18446744073709551615u});
  out.sample({}, 0.5);
  EXPECT_EQ(std::move(out).take(),
            "# HELP requests_total Requests\n"
            "# TYPE requests_total counter\n"
            "requests_total{op=\"store\",cause=\"x\"} 18446744073709551615\n"
            "requests_total 0.5\n");
}

TEST(Exposition, WhatALabelHoldsCannotForgeALine) {
  Exposition out(Format::kText);
  out.family({"x", MetricKind::kGauge, "", "", "a\nb\\c"});
  out.sample({{"model", "a\"} 1\ny{\\"}}, std::uint64_t{1});
  EXPECT_EQ(std::move(out).take(),
            "# HELP x a\\nb\\\\c\n# TYPE x gauge\nx{model=\"a\\\"} 1\\ny{\\\\\"} 1\n");
}

TEST(Exposition, AHistogramIsCumulative) {
  obs::SecondsHistogram histogram;
  histogram.observe(1e-6);
  histogram.observe(10e-6);  // bounds are inclusive
  histogram.observe(0.3);
  histogram.observe(1000);
  Exposition out(Format::kText);
  out.family({"t", MetricKind::kHistogram, "", "", "Times"});
  out.histogram({{"op", "a"}}, histogram);
  const std::string text = std::move(out).take();
  EXPECT_THAT(text, HasSubstr("t_bucket{op=\"a\",le=\"1e-05\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{op=\"a\",le=\"0.25\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{op=\"a\",le=\"0.5\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{op=\"a\",le=\"60\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{op=\"a\",le=\"+Inf\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("t_count{op=\"a\"} 4\n"));
}

TEST(Exposition, OpenMetricsNamesCountersAndBoundsInItsWay) {
  obs::SecondsHistogram histogram;
  histogram.observe(50);
  Exposition out(Format::kOpenMetrics);
  out.one({"requests_total", MetricKind::kCounter, "", "", "The \"requests\""}, std::uint64_t{3});
  out.family({"t", MetricKind::kHistogram, "", "", "Times"});
  out.histogram({}, histogram);
  const std::string text = std::move(out).take();
  EXPECT_THAT(text, StartsWith("# HELP requests The \\\"requests\\\"\n"
                               "# TYPE requests counter\n"
                               "requests_total 3\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{le=\"60.0\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("t_bucket{le=\"0.25\"} 0\n"));
  EXPECT_THAT(text, EndsWith("t_count 1\n# EOF\n"));
}

TEST(Exposition, LeavesNamesThatBreakTheRulesToOpenMetrics) {
  MetricInfo info{"t_GB", MetricKind::kGauge, "", "", ""};
  info.openmetrics_only = true;
  for (const Format format : {Format::kText, Format::kOpenMetrics}) {
    Exposition out(format);
    out.one(info, std::uint64_t{1});
    out.one({"other", MetricKind::kGauge, "", "", ""}, std::uint64_t{2});
    const std::string text = std::move(out).take();
    EXPECT_EQ(text.find("t_GB") != text.npos, format == Format::kOpenMetrics);
    EXPECT_THAT(text, HasSubstr("other 2\n"));
  }
}

TEST(Exposition, OpenMetricsIsForWhoeverNamesIt) {
  EXPECT_EQ(format_for(""), Format::kText);
  EXPECT_EQ(format_for("*/*"), Format::kText);
  EXPECT_EQ(format_for("text/plain;version=0.0.4"), Format::kText);
  EXPECT_EQ(
      format_for("application/openmetrics-text;version=1.0.0,application/"
                 "openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
      Format::kOpenMetrics);
}

TEST(Catalog, NamesAreDistinct) {
  std::set<std::string_view> names;
  for (const MetricInfo& info : catalog::kAll) EXPECT_TRUE(names.insert(info.name).second);
}

TEST(Catalog, TheDocumentIsTheCatalog) {
  std::ifstream file(LMCACHE_SOURCE_DIR "/docs/METRICS.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string marker = "<!-- table -->\n";
  const auto table = text.str().find(marker);
  ASSERT_NE(table, std::string::npos);
  const std::string expected = text.str().substr(0, table) + marker + "\n" + metrics_markdown();
  if (text.str() == expected) return;
  const std::string updated = testing::TempDir() + "METRICS.md";
  std::ofstream(updated) << expected;
  FAIL() << "docs/METRICS.md does not match the program; what it must be is in " << updated;
}

}  // namespace
}  // namespace lmcache::admin
