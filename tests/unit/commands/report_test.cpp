#include "commands/report.hpp"

#include <gmock/gmock.h>

namespace lmcache::commands {
namespace {

using testing::HasSubstr;
using testing::Not;

Report example() {
  Report report("Things");
  report.add("status", "Status", "OK");
  report.add("ratio", "Ratio", 0.5);
  report.add("none", "None", nullptr);
  report.section("models", "Model: a");
  report.add("name", "Name", "a");
  report.section("models", "Model: b");
  report.add("name", "Name", "b");
  return report;
}

TEST(Report, AsJsonHasListsOfSections) {
  EXPECT_EQ(Json::parse(example().as_json()),
            Json::parse(R"({"title":"Things","metrics":{"status":"OK","ratio":0.5,"none":null,
                            "models":[{"name":"a"},{"name":"b"}]}})"));
}

TEST(Report, AsTableAlignsValuesToTheRight) {
  const std::string table = example().as_table();
  EXPECT_THAT(table, HasSubstr("\nStatus:" + std::string(39, ' ') + "OK\n"));
  EXPECT_THAT(table, HasSubstr(" 0.50\n"));
  EXPECT_THAT(table, HasSubstr(" Model: b "));
}

TEST(Report, ALongValueWidensTheTable) {
  Report report("T");
  report.add("k", "Key", std::string(80, 'x'));
  EXPECT_THAT(report.as_table(), HasSubstr("Key:  " + std::string(80, 'x') + "\n"));
}

TEST(Report, WhatAServerSendsCannotDriveTheTerminal) {
  Report report("T");
  report.add("k", "Key", "a\x1b[31m\nb");
  EXPECT_THAT(report.as_table(), Not(HasSubstr("\x1b")));
  EXPECT_THAT(report.as_table(), HasSubstr("a?[31m?b"));
  EXPECT_EQ(Json::parse(report.as_json())["metrics"]["k"], "a\x1b[31m\nb");
}

}  // namespace
}  // namespace lmcache::commands
