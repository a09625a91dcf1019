#include "commands/unknown_word.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>

namespace lmcache::commands {
namespace {

std::string listed(const std::vector<const CLI::App*>& commands) {
  std::string out;
  for (const CLI::App* command : commands)
    out.append(out.empty() ? "" : ", ").append(command->get_name());
  return out;
}

}  // namespace

std::string unknown_word(const CLI::App& app, const std::vector<std::string>& args) {
  const CLI::App* command = &app;
  for (const std::string& word : args) {
    if (word == "--") break;  // what follows are values
    const auto commands = command->get_subcommands([](const CLI::App*) { return true; });
    if (word.starts_with("--")) {
      const std::string flag = word.substr(0, word.find('='));
      if (command->get_option_no_throw(flag) == nullptr) return "unknown flag " + flag;
    } else if (!commands.empty() && !word.starts_with('-')) {
      const auto found = std::ranges::find_if(
          commands, [&](const CLI::App* one) { return one->check_name(word); });
      if (found == commands.end())
        return "unknown command '" + word + "'; one of " + listed(commands);
      command = *found;
    }
  }
  return "";
}

}  // namespace lmcache::commands
