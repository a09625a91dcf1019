#include "app/flag_rules.hpp"

#include <algorithm>
#include <array>

namespace lmcache::app {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

using Reasons = std::vector<std::pair<std::string, std::string>>;

/// Nothing when `text` is one of `choices`.
std::optional<Refusal> check_choice(const std::vector<std::string>& choices, const Reasons& refused,
                                    const std::string& text) {
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) return std::nullopt;
  for (const auto& [value, reason] : refused) {
    if (value == text) return Refusal{reason};
  }
  return Refusal{};
}

}  // namespace

std::string number_text(double number) {
  std::array<char, 32> buffer{};
  // Plain notation, since people read it; all numbers shown here are far from needing more digits.
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, std::chars_format::fixed);
  return error == std::errc{} ? std::string(buffer.data(), end) : std::string("?");
}

Rule real_number(double ServerConfig::*member, double low, bool low_is_open, double high) {
  return {"number " + std::string(low_is_open ? "above " : "from ") + number_text(low) + " up to " +
              number_text(high),
          number_text(ServerConfig{}.*member),
          [=](Draft& draft, const std::string& text) -> std::optional<Refusal> {
            const auto number = parse_real(text, low, high);
            if (!number || (low_is_open && *number == low)) return Refusal{};
            draft.config.*member = *number;
            return std::nullopt;
          }};
}

Rule short_text(std::string ServerConfig::*member, std::size_t max_bytes, bool may_be_empty) {
  return {std::string(may_be_empty ? "at most " : "1..") + std::to_string(max_bytes) +
              " printable ASCII characters, not starting with --",
          ServerConfig{}.*member,
          [=](Draft& draft, const std::string& text) -> std::optional<Refusal> {
            const bool printable =
                std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
            // A value like "--port" means that the value was forgotten.
            if (!printable || text.size() > max_bytes || (text.empty() && !may_be_empty) ||
                text.starts_with("--")) {
              return Refusal{};
            }
            draft.config.*member = text;
            return std::nullopt;
          }};
}

Rule choice(std::string ServerConfig::*member, std::vector<std::string> choices, Reasons refused) {
  std::string allowed = joined(choices);
  return {std::move(allowed), ServerConfig{}.*member,
          [member, choices = std::move(choices), refused = std::move(refused)](
              Draft& draft, const std::string& text) {
            auto refusal = check_choice(choices, refused, text);
            if (!refusal) draft.config.*member = text;
            return refusal;
          }};
}

Rule only(std::string value, Reasons refused) {
  return {value, value,
          [choices = std::vector<std::string>{value}, refused = std::move(refused)](
              Draft&, const std::string& text) { return check_choice(choices, refused, text); }};
}

Rule toggle(bool ServerConfig::*member, bool value) {
  return {"", ServerConfig{}.*member == value ? "on" : "off",
          [=](Draft& draft, const std::string& text) -> std::optional<Refusal> {
            if (text != "true" && text != "false") return Refusal{};
            draft.config.*member = (text == "true") == value;
            return std::nullopt;
          }};
}

}  // namespace lmcache::app
