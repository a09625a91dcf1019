#include "admin/exposition.hpp"

#include <charconv>
#include <cmath>

namespace lmcache::admin {
namespace {

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  // As Go writes it, and with it everybody who compares bounds of histograms.
  const double size = std::abs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e21);
  char text[64];
  const auto end = std::to_chars(std::begin(text), std::end(text), value,
                                 plain ? std::chars_format::fixed : std::chars_format::scientific)
                       .ptr;
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

Format format_for(std::string_view accept) noexcept {
  return accept.find("application/openmetrics-text") == std::string_view::npos
             ? Format::kText
             : Format::kOpenMetrics;
}

std::string_view media_type(Format format) noexcept {
  return format == Format::kText ? "text/plain; version=0.0.4; charset=utf-8"
                                 : "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

void Exposition::family(const MetricInfo& info) {
  name_ = info.name;
  shown_ = format_ == Format::kOpenMetrics || !info.openmetrics_only;
  if (!shown_) return;
  std::string_view name = name_;
  constexpr std::string_view kTotal = "_total";  // in OpenMetrics of the samples, not the family
  if (format_ == Format::kOpenMetrics && info.kind == MetricKind::kCounter &&
      name.ends_with(kTotal))
    name.remove_suffix(kTotal.size());
  text_.append("# HELP ").append(name).append(" ");
  append_escaped(text_, info.help, format_ == Format::kOpenMetrics);
  text_.append("\n# TYPE ").append(name).append(" ").append(to_string(info.kind)).append("\n");
}

std::string Exposition::take() && {
  if (format_ == Format::kOpenMetrics) text_.append("# EOF\n");
  return std::move(text_);
}

void Exposition::line(std::string_view suffix, Labels labels, std::string_view bound,
                      std::string value) {
  if (!shown_) return;
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
    std::string bound = i < bounds.size() ? number(bounds[i]) : "+Inf";
    // An integer is not how OpenMetrics writes a bound.
    if (format_ == Format::kOpenMetrics && bound.find_first_not_of("0123456789") == bound.npos)
      bound += ".0";
    line("_bucket", labels, bound, std::to_string(total));
  }
  line("_sum", labels, "", number(sum));
  line("_count", labels, "", std::to_string(total));
}

}  // namespace lmcache::admin
