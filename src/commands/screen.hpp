// A terminal's second screen, drawn over in place; the first one and its cursor come back at the
// end.
#pragma once

#include <string>

namespace lmcache::commands {

class Screen {
 public:
  /// Whether standard output is a terminal that can be drawn on.
  [[nodiscard]] static bool available();

  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  /// `text` has no escape codes. What does not fit is cut.
  void draw(const std::string& text) const;
};

}  // namespace lmcache::commands
