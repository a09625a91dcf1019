#include "app/roff.hpp"

#include <lmcache/version.hpp>

#include <sstream>
#include <string_view>

namespace lmcache::app {
namespace {

constexpr std::size_t kSourceWidth = 100;

// Of what the pages say; not of the build, which would make each page another.
constexpr std::string_view kDate = "2026-11-26";

/// Without the commit, so that the pages change with a release only.
std::string_view release() {
  const std::string_view version = kVersion;
  return version.substr(0, version.find('+'));
}

/// A hyphen is a minus, so that what is copied from the page works.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : escaped(text)) out += c == '"' ? std::string("\\(dq") : std::string(1, c);
  return out + "\"";
}

}  // namespace

ManPage::ManPage(std::string_view name, int section, std::string_view area) {
  out_ = ".\\\" Written from the program's own tables; a unit test keeps it equal to them.\n.TH " +
         in_quotes(name) + " " + std::to_string(section) + " \"" + std::string(kDate) + "\" " +
         in_quotes("LMCache server " + std::string(release())) + " " + in_quotes(area) +
         "\n.nh\n.ad l\n";  // names and URLs stay whole
}

void ManPage::section(std::string_view title) {
  out_.append(".SH ").append(in_quotes(title)).append("\n");
}

void ManPage::subsection(std::string_view title) {
  out_.append(".SS ").append(in_quotes(title)).append("\n");
}

void ManPage::paragraph(std::string_view text) {
  out_ += ".PP\n";
  append_text(text);
}

void ManPage::command(std::string_view text) {
  out_.append(".PP\n.B ").append(in_quotes(text)).append("\n");
}

void ManPage::item(std::string_view head, std::string_view text) {
  out_.append(".TP\n.B ").append(in_quotes(head)).append("\n");
  append_text(text);
}

void ManPage::append_text(std::string_view text) {
  std::istringstream words{std::string(text)};
  std::string line;
  const auto end_line = [&] {
    if (line.starts_with('.') || line.starts_with('\'')) line.insert(0, "\\&");
    out_.append(line).append("\n");
    line.clear();
  };
  for (std::string word; words >> word;) {
    const std::string next = escaped(word);
    if (!line.empty() && line.size() + 1 + next.size() > kSourceWidth) end_line();
    line.append(line.empty() ? "" : " ").append(next);
  }
  if (!line.empty()) end_line();
}

}  // namespace lmcache::app
