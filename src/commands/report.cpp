#include "commands/report.hpp"

#include "obs/clean_text.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace lmcache::commands {
namespace {

constexpr std::size_t kWidthMin = 48;

/// A value as people read it; what a server sent cannot drive the terminal.
std::string shown(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_string()) return obs::clean_text(value.get<std::string>());
  if (value.is_number_float()) {
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", value.get<double>());
    return text;
  }
  return obs::clean_text(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string centred(const std::string& text, char fill, std::size_t width) {
  const std::size_t rest = width - std::min(width, text.size() + 2);
  return std::string(rest / 2, fill)
      .append(" ")
      .append(text)
      .append(" ")
      .append(rest - rest / 2, fill)
      .append("\n");
}

}  // namespace

void Report::add(std::string key, std::string label, Json value) {
  sections_.back().rows.push_back({std::move(key), std::move(label), std::move(value)});
}

void Report::section(std::string list, std::string heading) {
  sections_.push_back({std::move(list), std::move(heading), {}});
}

std::string Report::as_json() const {
  Json metrics = Json::object();
  for (const Section& section : sections_) {
    Json rows = Json::object();
    for (const Row& row : section.rows) rows[row.key] = row.value;
    if (section.list.empty()) {
      metrics = std::move(rows);
    } else {
      metrics[section.list].push_back(std::move(rows));
    }
  }
  const Json report{{"title", title_}, {"metrics", std::move(metrics)}};
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string Report::as_table() const {
  std::size_t width = kWidthMin;
  for (const Section& section : sections_)
    for (const Row& row : section.rows)
      width = std::max(width, row.label.size() + shown(row.value).size() + 3);
  std::string out = centred(title_, '=', width);
  for (const Section& section : sections_) {
    if (!section.heading.empty()) out += centred(obs::clean_text(section.heading), '-', width);
    for (const Row& row : section.rows) {
      const std::string value = shown(row.value);
      out.append(row.label).append(":");
      out.append(width - row.label.size() - 1 - value.size(), ' ').append(value).append("\n");
    }
  }
  return out.append(width, '=').append("\n");
}

}  // namespace lmcache::commands
