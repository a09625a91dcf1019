// docs/SERVER_FLAGS.md cannot go stale: its tables are the flags' own.
#include "app/help.hpp"
#include "app/man_page.hpp"

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

/// `path` in the repository must be what the program writes.
void expect_file(const std::string& path, const std::string& expected) {
  std::ifstream file(LMCACHE_SOURCE_DIR "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  if (text.str() == expected) return;
  const std::string updated = testing::TempDir() + path.substr(path.rfind('/') + 1);
  std::ofstream(updated) << expected;
  FAIL() << path << " does not match the program; what it must be is in " << updated;
}

TEST(FlagDocs, TheConfigFileIsTheProgramsOwn) {
  expect_file("configs/server.toml", server_toml());
}

TEST(ManPages, AreTheProgramsOwn) {
  expect_file("docs/man/lmcache.1", lmcache_man());
  expect_file("docs/man/lmcache-server.8", lmcache_server_man());
}

}  // namespace
}  // namespace lmcache::app
