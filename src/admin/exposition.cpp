#include "admin/exposition.hpp"

#include <charconv>
#include <cmath>

namespace lmcache::admin {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char text[32];
  const auto end = std::to_chars(std::begin(text), std::end(text), value).ptr;
  return {text, end};
}

void append_escaped(std::string& out, std::string_view value, bool quotes) {
  for (const char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    out += c;
  }
}

}  // namespace

std::string_view to_string(MetricKind kind) noexcept {
  switch (kind) {
    case MetricKind::kCounter:
      return "counter";
    case MetricKind::kGauge:
      return "gauge";
    case MetricKind::kHistogram:
      return "histogram";
  }
  return "untyped";
}

void Exposition::family(const MetricInfo& info) {
  name_ = info.name;
  text_.append("# HELP ").append(name_).append(" ");
  append_escaped(text_, info.help, false);
  text_.append("\n# TYPE ").append(name_).append(" ").append(to_string(info.kind)).append("\n");
}

void Exposition::line(std::string_view suffix, Labels labels, std::string_view bound,
                      std::string value) {
  text_.append(name_).append(suffix);
  char before = '{';
  const auto label = [&](std::string_view name, std::string_view text) {
    text_ += before;
    text_.append(name).append("=\"");
    append_escaped(text_, text, true);
    text_ += '"';
    before = ',';
  };
  for (const Label& one : labels) label(one.name, one.value);
  if (!bound.empty()) label("le", bound);
  if (before == ',') text_ += '}';
  text_.append(" ").append(value).append("\n");
}

void Exposition::sample(Labels labels, double value) {
  line("", labels, "", number(value));
}

void Exposition::sample(Labels labels, std::uint64_t value) {
  line("", labels, "", std::to_string(value));
}

void Exposition::buckets(Labels labels, std::span<const double> bounds,
                         std::span<const std::uint64_t> counts, double sum) {
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    total += counts[i];
    line("_bucket", labels, i < bounds.size() ? number(bounds[i]) : "+Inf", std::to_string(total));
  }
  line("_sum", labels, "", number(sum));
  line("_count", labels, "", std::to_string(total));
}

}  // namespace lmcache::admin
