// What a command found, as a table for people or as one JSON object for machines. The object has
// the form the reference's command line prints: {"title", "metrics": {...}}.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::commands {

using Json = nlohmann::ordered_json;

class Report {
 public:
  explicit Report(std::string title) : title_(std::move(title)) {}

  void add(std::string key, std::string label, Json value);
  /// What is added from here on belongs to one more entry of the list `list`.
  void section(std::string list, std::string heading);

  [[nodiscard]] std::string as_json() const;
  [[nodiscard]] std::string as_table() const;

 private:
  struct Row {
    std::string key, label;
    Json value;
  };
  struct Section {
    std::string list, heading;  ///< empty for the first one
    std::vector<Row> rows;
  };
  std::string title_;
  std::vector<Section> sections_{1};
};

}  // namespace lmcache::commands
