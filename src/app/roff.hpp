// Writes a manual page in the man macros of roff. All text is escaped.
#pragma once

#include <string>
#include <string_view>

namespace lmcache::app {

class ManPage {
 public:
  /// `name` in capitals, as the top line has it; `area` is what its middle says.
  ManPage(std::string_view name, int section, std::string_view area);

  void section(std::string_view title);
  void subsection(std::string_view title);
  void paragraph(std::string_view text);
  /// A line of its own, in bold.
  void command(std::string_view text);
  /// Something and what it means: `head` in bold, `text` indented below.
  void item(std::string_view head, std::string_view text);

  [[nodiscard]] std::string take() && { return std::move(out_); }

 private:
  /// `text` in lines that are not too long, none of which looks like a request.
  void append_text(std::string_view text);

  std::string out_;
};

}  // namespace lmcache::app
