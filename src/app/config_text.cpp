// The annotated config file: every setting with its default, from the flag table, so that it cannot
// go stale.
#include "app/flag.hpp"
#include "app/help.hpp"

#include <algorithm>
#include <sstream>

namespace lmcache::app {
namespace {

constexpr std::size_t kTextWidth = 100;

/// Words of `text` in comment lines.
void append_comment(std::string& out, const std::string& text) {
  std::istringstream words(text);
  std::string line(1, '#');
  for (std::string word; words >> word;) {
    if (line.size() + 1 + word.size() > kTextWidth) {
      out.append(line).append("\n");
      line.assign(1, '#');
    }
    line.append(" ").append(word);
  }
  out.append(line).append("\n");
}

bool is_number(const std::string& text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
}

std::string toml_value(const ServerFlag& flag) {
  if (flag.value.empty()) return flag.fallback == "on" ? "true" : "false";
  if (is_number(flag.fallback)) return flag.fallback;
  return std::string("\"").append(flag.fallback).append("\"");
}

/// Defaults that follow another flag have no value of their own.
bool follows_another(const ServerFlag& flag) {
  return flag.fallback.starts_with("--");
}

}  // namespace

std::string server_toml() {
  std::string out =
      "# Settings of `lmcache server --config FILE`. Written by `lmcache server --print-config`.\n"
      "#\n"
      "# Every setting is here with its default; take the # away and change the value. A key is a\n"
      "# flag's name, each at most once; a flag on the command line wins over this file. Unknown\n"
      "# keys are errors. A value cannot contain '#'.\n";
  for (const FlagGroup& group : server_flags()) {
    out.append("\n\n# ---- ").append(group.title).append("\n");
    for (const ServerFlag& flag : group.flags) {
      out += "\n";
      const bool range = !flag.allowed.empty() && flag.allowed != flag.fallback;
      std::string comment = flag.help;
      if (range) comment.append(" (").append(flag.allowed).append(")");
      append_comment(out, comment);
      const std::string_view key = std::string_view(flag.name).substr(2);
      if (follows_another(flag)) {
        out.append("# ").append(key).append(" = that of ").append(flag.fallback, 2).append("\n");
      } else {
        out.append("#").append(key).append(" = ").append(toml_value(flag)).append("\n");
      }
    }
  }
  return out;
}

}  // namespace lmcache::app
