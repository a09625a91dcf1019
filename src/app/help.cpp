#include "app/help.hpp"

#include "app/flag_text.hpp"

#include <sstream>

namespace lmcache::app {
namespace {

constexpr std::size_t kHelpWidth = 98;
constexpr std::size_t kIndent = 8;

/// `text` in lines of at most kHelpWidth, each indented.
void append_wrapped(std::string& out, const std::string& text) {
  const std::string indent(kIndent, ' ');
  std::istringstream words(text);
  std::string word;
  std::string line;
  while (words >> word) {
    if (!line.empty() && kIndent + line.size() + 1 + word.size() > kHelpWidth) {
      out += indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
  }
  out += indent + line + "\n";
}

std::string cell(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

}  // namespace

std::string main_help() {
  return "usage: lmcache server [FLAGS]   run the KV-cache daemon\n"
         "       lmcache server --help    its flags\n"
         "       lmcache status           what the server says of itself\n"
         "       lmcache top              what it is doing, renewed at intervals\n"
         "       lmcache ping kvcache     whether a server is alive\n"
         "       lmcache describe kvcache   the cache, its models and their KV layouts\n"
         "       lmcache kvcache clear|list   what is cached\n"
         "       lmcache quota set|get|delete|list   limits per cache_salt\n"
         "       lmcache doctor           what is wrong on this machine, and the cure\n"
         "       lmcache bench server     load one server, or two in turn, and check the bytes\n"
         "       lmcache bench trace|eviction   traces, and eviction policies on them\n"
         "       lmcache COMMAND --help   flags of these\n"
         "       lmcache --version\n"
         "       lmcache --help\n";
}

std::string server_help() {
  std::string out =
      "usage: lmcache server [FLAGS]\n\n"
      "Runs the KV-cache daemon until SIGTERM or SIGINT. Plain `lmcache server` works.\n"
      "Flags override the config file, which overrides the environment, which overrides "
      "defaults.\n\n"
      "General\n"
      "  --config FILE\n"
      "        TOML file whose keys are flag names without the dashes (port = 5555); unknown keys "
      "are errors\n"
      "  --print-config\n"
      "        print such a file, with every setting, its meaning and its default\n"
      "  -h, --help\n";
  for (const FlagGroup& group : server_flags()) {
    out += "\n" + group.title + "\n";
    for (const ServerFlag& flag : group.flags) {
      out += "  " + left_side(flag) + "\n";
      append_wrapped(out, explain(flag));
    }
  }
  out += "\nKnown but not supported yet, refused with the reason when given\n";
  append_wrapped(out, refused_names());
  return out;
}

std::string server_flags_markdown() {
  std::string out;
  for (const FlagGroup& group : server_flags()) {
    out += "### " + group.title + "\n\n| Flag | Default | Allowed | Meaning |\n|---|---|---|---|\n";
    for (const ServerFlag& flag : group.flags) {
      out += "| `" + left_side(flag) + "` | " + cell(fallback_of(flag)) + " | " +
             cell(flag.allowed.empty() ? "switch" : flag.allowed) + " | " + cell(flag.help) +
             " |\n";
    }
    out += "\n";
  }
  out +=
      "### Refused\n\n| Flag | Reference's default | Why | Accepted value |\n|---|---|---|---|\n";
  for (const RefusedFlag& flag : refused_flags()) {
    std::string names;
    for (const std::string_view name : flag.names) {
      names += (names.empty() ? "`" : ", `") + std::string(name) + "`";
    }
    const std::string harmless = !flag.harmless           ? ""
                                 : flag.harmless->empty() ? "empty"
                                                          : std::string(*flag.harmless);
    out += "| " + names + " | " + cell(flag.fallback) + " | " + cell(flag.reason) + " | " +
           harmless + " |\n";
  }
  out += "\n### Refused environment variables\n\n| Variable | Why |\n|---|---|\n";
  for (const RefusedVariable& variable : refused_variables()) {
    out += "| `" + std::string(variable.name) + "` | " + std::string(variable.reason) + " |\n";
  }
  return out;
}

std::vector<std::string> flag_names() {
  std::vector<std::string> names;
  for (const FlagGroup& group : server_flags()) {
    for (const ServerFlag& flag : group.flags) {
      names.push_back(flag.name);
      if (!flag.negation.empty()) names.push_back(flag.negation);
    }
  }
  for (const RefusedFlag& flag : refused_flags()) {
    for (const std::string_view name : flag.names) {
      if (name.starts_with("--")) names.emplace_back(name);
    }
  }
  return names;
}

}  // namespace lmcache::app
