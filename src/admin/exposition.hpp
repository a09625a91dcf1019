// Writes the Prometheus text format, or OpenMetrics, which a Prometheus server asks for.
#pragma once

#include "obs/metrics.hpp"

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace lmcache::admin {

enum class MetricKind : std::uint8_t { kCounter, kGauge, kHistogram };
[[nodiscard]] std::string_view to_string(MetricKind kind) noexcept;

/// One family. `labels` is for people: what tells its series apart.
struct MetricInfo {
  std::string_view name;
  MetricKind kind;
  std::string_view unit;
  std::string_view labels;
  std::string_view help;
  bool of_reference = false;  ///< the reference has it under this name with this meaning
  /// Its name breaks the rules `promtool check metrics` has for the text format, in which it is
  /// therefore left out.
  bool openmetrics_only = false;
};

enum class Format : std::uint8_t { kText, kOpenMetrics };
/// What an Accept header asks for: OpenMetrics if it names it.
[[nodiscard]] Format format_for(std::string_view accept) noexcept;
[[nodiscard]] std::string_view media_type(Format format) noexcept;

/// A label's name and value; the value may be anything.
struct Label {
  std::string_view name;
  std::string_view value;
};
using Labels = std::initializer_list<Label>;

class Exposition {
 public:
  explicit Exposition(Format format) noexcept : format_(format) {}

  /// The samples that follow belong to this family. Each family once.
  void family(const MetricInfo& info);
  void sample(Labels labels, double value);
  void sample(Labels labels, std::uint64_t value);
  /// A family of one sample without labels.
  void one(const MetricInfo& info, auto value) {
    family(info);
    sample({}, value);
  }
  /// Its own series for every bound, the sum and the count.
  template <const auto& kBounds>
  void histogram(Labels labels, const obs::Histogram<kBounds>& histogram) {
    std::uint64_t counts[obs::Histogram<kBounds>::kBuckets];
    for (std::size_t i = 0; i < std::size(counts); ++i) counts[i] = histogram.bucket(i);
    buckets(labels, kBounds, counts, histogram.sum());
  }

  [[nodiscard]] std::string take() &&;

 private:
  void buckets(Labels labels, std::span<const double> bounds, std::span<const std::uint64_t> counts,
               double sum);
  void line(std::string_view suffix, Labels labels, std::string_view bound, std::string value);

  const Format format_;
  std::string text_;
  std::string_view name_;
  bool shown_ = true;  ///< the family is one of this format
};

}  // namespace lmcache::admin
