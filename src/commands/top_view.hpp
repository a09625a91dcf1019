// An activity as people read it on a terminal, and as one JSON object for programs.
#pragma once

#include "commands/rates.hpp"
#include "commands/report.hpp"

#include <string>

namespace lmcache::commands {

/// Whose activity it is.
struct Subject {
  std::string url;
  std::string policy;  ///< of eviction
  bool healthy = true;
};

/// Lines of printable text, no escape codes.
[[nodiscard]] std::string as_text(const Subject& subject, const Activity& activity);
[[nodiscard]] Json as_json(const Subject& subject, const Activity& activity);

/// `text` for a terminal of so many rows and columns: what is beyond them is cut.
[[nodiscard]] std::string cut_to(const std::string& text, std::size_t rows, std::size_t columns);

}  // namespace lmcache::commands
