// Strict readers for flag values: the whole text or nothing, no locale, no octal, no "1e3" for a
// whole number.
#pragma once

#include <charconv>
#include <cmath>
#include <concepts>
#include <optional>
#include <string_view>

namespace lmcache::app {

template <std::integral Number>
[[nodiscard]] std::optional<Number> parse_integer(std::string_view text, Number low, Number high) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (number < low || number > high) return std::nullopt;
  return number;
}

/// Never NaN or infinite.
[[nodiscard]] inline std::optional<double> parse_real(std::string_view text, double low,
                                                      double high) {
  double number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(number) || number < low || number > high) return std::nullopt;
  return number;
}

}  // namespace lmcache::app
