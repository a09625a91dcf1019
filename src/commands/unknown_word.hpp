// What CLI11 would take for a value of something else, or leave unnamed: the words of a command
// line that nobody knows.
#pragma once

#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace lmcache::commands {

/// One line that names the first command or --flag in `args` that `app` does not have; empty if it
/// has all of them.
[[nodiscard]] std::string unknown_word(const CLI::App& app, const std::vector<std::string>& args);

}  // namespace lmcache::commands
