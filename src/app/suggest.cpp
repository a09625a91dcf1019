#include "app/suggest.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace lmcache::app {
namespace {

constexpr std::size_t kLongest =
    64;  // nothing longer is a slip of a flag's name; also bounds the work

/// Pre: typed.size() <= kLongest.
std::size_t edit_distance(std::string_view word, std::string_view typed) {
  std::array<std::size_t, kLongest + 1> row{};
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < word.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < typed.size(); ++j) {
      const std::size_t replaced = diagonal + (word[i] == typed[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({row[j] + 1, diagonal + 1, replaced});
    }
  }
  return row[typed.size()];
}

}  // namespace

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& words) {
  if (typed.size() > kLongest) return "";
  std::vector<std::string_view> longer;
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, typed.size() / 5) + 1;
  for (const std::string_view word : words) {
    if (typed.size() > 3 && word.starts_with(typed)) longer.push_back(word);
    const std::size_t distance = edit_distance(word, typed);
    if (distance < best_distance) {
      best = word;
      best_distance = distance;
    }
  }
  if (longer.size() == 1) best = longer.front();
  return best.empty() ? "" : "; did you mean " + std::string(best) + "?";
}

}  // namespace lmcache::app
