// The Prometheus text format, read: what /metrics says as samples, and sums over them. Pure.
#pragma once

#include <lmcache/status.hpp>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lmcache::commands {

struct Sample {
  std::string name;
  std::map<std::string, std::string, std::less<>> labels;
  double value = 0;

  /// A label's value; empty if it has none of this name.
  [[nodiscard]] std::string_view label(std::string_view name) const;
};

/// The samples of an exposition, in its order. kMalformed with the number of the first line that is
/// neither a sample nor a comment.
[[nodiscard]] Result<std::vector<Sample>> parse_exposition(std::string_view text);

/// What one scrape said, to be asked for sums.
class Scrape {
 public:
  /// Of the samples that are counted: a label and its value. Empty: all.
  using Where = std::pair<std::string_view, std::string_view>;

  Scrape() = default;
  explicit Scrape(const std::vector<Sample>& samples);

  /// All series of the metric `name` added up; 0 if there are none.
  [[nodiscard]] double sum(std::string_view name, Where where = {}) const;
  /// The same for each value of `label`.
  [[nodiscard]] std::map<std::string, double> sums_by(std::string_view name, std::string_view label,
                                                      Where where = {}) const;
  /// The series of a metric; empty if there are none.
  [[nodiscard]] const std::vector<Sample>& series(std::string_view name) const;

 private:
  std::map<std::string, std::vector<Sample>, std::less<>> by_name_;
};

}  // namespace lmcache::commands
