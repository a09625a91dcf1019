// The live page of GET /ui: one document that loads nothing, made of the files in ui/.
#pragma once

#include <string>
#include <string_view>

namespace lmcache::admin {

struct UiPage {
  std::string html;
  std::string policy;  ///< its Content-Security-Policy: this very style and script, and no other
};

/// Puts style and script into the empty elements that `markup` has for them. Neither may contain
/// the end of its element.
[[nodiscard]] UiPage ui_page(std::string_view markup, std::string_view style,
                             std::string_view script);

/// Of the files that were built in.
[[nodiscard]] UiPage ui_page();

}  // namespace lmcache::admin
