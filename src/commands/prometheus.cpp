#include "commands/prometheus.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace lmcache::commands {
namespace {

/// Cuts a sample line into its parts; each step consumes what it understands.
class Line {
 public:
  explicit Line(std::string_view text) : rest_(text) {}

  bool read(Sample& sample) {
    sample.name = name();
    if (sample.name.empty()) return false;
    if (take('{') && !labels(sample)) return false;
    spaces();
    return number(sample.value);
  }

 private:
  bool take(char wanted) {
    if (!rest_.starts_with(wanted)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void spaces() {
    while (take(' ') || take('\t')) {
    }
  }
  std::string name() {
    std::size_t size = 0;
    while (size < rest_.size() && is_name(rest_[size])) ++size;
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == ':';
  }
  bool labels(Sample& sample) {
    for (spaces(); !take('}'); spaces()) {
      const std::string label = name();
      if (label.empty() || !take('=') || !take('"') || !quoted(sample.labels[label])) return false;
      take(',');
    }
    return true;
  }
  /// What follows an opening quote, up to its end: \n, \" and \\ are escapes.
  bool quoted(std::string& out) {
    while (!rest_.empty()) {
      const char c = rest_.front();
      rest_.remove_prefix(1);
      if (c == '"') return true;
      if (c != '\\') {
        out += c;
      } else if (!rest_.empty()) {
        out += rest_.front() == 'n' ? '\n' : rest_.front();
        rest_.remove_prefix(1);
      }
    }
    return false;
  }
  /// A number, and perhaps a timestamp, which does not matter here.
  bool number(double& value) {
    const std::string_view text = rest_.substr(0, rest_.find_first_of(" \t\r"));
    if (text == "NaN") return value = std::numeric_limits<double>::quiet_NaN(), true;
    if (text == "+Inf") return value = std::numeric_limits<double>::infinity(), true;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
  }

  std::string_view rest_;
};

bool matches(const Sample& sample, Scrape::Where where) {
  return where.first.empty() || sample.label(where.first) == where.second;
}

}  // namespace

std::string_view Sample::label(std::string_view wanted) const {
  const auto found = labels.find(wanted);
  return found == labels.end() ? std::string_view{} : std::string_view{found->second};
}

Result<std::vector<Sample>> parse_exposition(std::string_view text) {
  std::vector<Sample> samples;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    Sample sample;
    if (!Line(line).read(sample))
      return Error{Cause::kMalformed,
                   "line " + std::to_string(number) + " of the metrics is not a sample"};
    samples.push_back(std::move(sample));
  }
  return Result<std::vector<Sample>>(std::move(samples));
}

Scrape::Scrape(const std::vector<Sample>& samples) {
  for (const Sample& sample : samples) by_name_[sample.name].push_back(sample);
}

const std::vector<Sample>& Scrape::series(std::string_view name) const {
  static const std::vector<Sample> none;
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? none : found->second;
}

double Scrape::sum(std::string_view name, Where where) const {
  double total = 0;
  for (const Sample& sample : series(name))
    if (matches(sample, where)) total += sample.value;
  return total;
}

std::map<std::string, double> Scrape::sums_by(std::string_view name, std::string_view label,
                                              Where where) const {
  std::map<std::string, double> out;
  for (const Sample& sample : series(name))
    if (matches(sample, where)) out[std::string(sample.label(label))] += sample.value;
  return out;
}

}  // namespace lmcache::commands
