// docs/SERVER_FLAGS.md cannot go stale: its tables are the flags' own.
#include "app/help.hpp"

#include <gmock/gmock.h>
#include <fstream>
#include <sstream>

namespace lmcache::app {
namespace {

TEST(FlagDocs, TablesEqualTheFlags) {
  std::ifstream file(LMCACHE_SOURCE_DIR "/docs/SERVER_FLAGS.md");
  std::stringstream text;
  text << file.rdbuf();
  const std::string marker = "<!-- tables -->\n";
  const auto tables = text.str().find(marker);
  ASSERT_NE(tables, std::string::npos);
  const std::string expected =
      text.str().substr(0, tables) + "<!-- tables -->\n\n" + server_flags_markdown();
  if (text.str() != expected) {
    const std::string updated = testing::TempDir() + "SERVER_FLAGS.md";
    std::ofstream(updated) << expected;
    FAIL() << "docs/SERVER_FLAGS.md does not match the flags; what it must be is in " << updated;
  }
}

TEST(FlagDocs, TheConfigFileIsTheProgramsOwn) {
  std::ifstream file(LMCACHE_SOURCE_DIR "/configs/server.toml");
  std::stringstream text;
  text << file.rdbuf();
  if (text.str() == server_toml()) return;
  const std::string updated = testing::TempDir() + "server.toml";
  std::ofstream(updated) << server_toml();
  FAIL() << "configs/server.toml does not match the flags; what it must be is in " << updated;
}

}  // namespace
}  // namespace lmcache::app
