// "Did you mean": the known word nearest to a mistyped one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lmcache::app {

/// "; did you mean --port?" when one of `words` is close enough to be a slip of the fingers, else
/// "". An unambiguous beginning of a word counts as close: the reference accepts abbreviations.
[[nodiscard]] std::string did_you_mean(std::string_view typed,
                                       const std::vector<std::string>& words);

}  // namespace lmcache::app
