// Builds the value part of a ServerFlag (allowed range, default as text, setter) from the config
// member it sets, so that the three cannot disagree.
#pragma once

#include "app/flag.hpp"
#include "app/parse_value.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <utility>

namespace lmcache::app {

struct Rule {
  std::string allowed;
  std::string fallback;
  std::function<std::optional<Refusal>(Draft&, const std::string&)> set;
};

/// Shortest text that reads back as the same number: 0.8, 1, 65536.
[[nodiscard]] std::string number_text(double number);

template <std::integral Number>
[[nodiscard]] Rule whole_number(Number ServerConfig::*member, Number low,
                                Number high = std::numeric_limits<Number>::max()) {
  return {"whole number " + std::to_string(low) + ".." + std::to_string(high),
          std::to_string(ServerConfig{}.*member), [=](Draft& draft, const std::string& text) {
            const auto number = parse_integer<Number>(text, low, high);
            if (!number) return std::optional<Refusal>(Refusal{});
            draft.config.*member = *number;
            return std::optional<Refusal>();
          }};
}

/// A duration given in seconds; fractions only where the member can hold them.
template <class Duration>
[[nodiscard]] Rule seconds(Duration ServerConfig::*member, double low, double high) {
  using Seconds = std::chrono::duration<double>;
  constexpr bool kFractions = Duration(1) < std::chrono::seconds(1);
  return {std::string(kFractions ? "" : "whole ") + "seconds " + number_text(low) + ".." +
              number_text(high),
          number_text(Seconds(ServerConfig{}.*member).count()),
          [=](Draft& draft, const std::string& text) {
            const auto number = parse_real(text, low, high);
            if (!number || (!kFractions && *number != std::floor(*number))) {
              return std::optional<Refusal>(Refusal{});
            }
            draft.config.*member = std::chrono::round<Duration>(Seconds(*number));
            return std::optional<Refusal>();
          }};
}

/// low < value when `low_is_open`, else low <= value; value <= high.
[[nodiscard]] Rule real_number(double ServerConfig::*member, double low, bool low_is_open,
                               double high);

/// Any text of 1..max_bytes printable ASCII characters (0.. when `may_be_empty`).
[[nodiscard]] Rule short_text(std::string ServerConfig::*member, std::size_t max_bytes,
                              bool may_be_empty);

/// One of `choices`; one of `refused` is answered with the reason beside it.
[[nodiscard]] Rule choice(std::string ServerConfig::*member, std::vector<std::string> choices,
                          std::vector<std::pair<std::string, std::string>> refused = {});

/// As above for a flag that has one possible value so far, which therefore needs no place in the
/// config.
[[nodiscard]] Rule only(std::string value,
                        std::vector<std::pair<std::string, std::string>> refused);

/// A switch that sets `member` to `value`, its negation to the opposite.
[[nodiscard]] Rule toggle(bool ServerConfig::*member, bool value);

}  // namespace lmcache::app
