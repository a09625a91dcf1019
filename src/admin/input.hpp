// Reads typed values out of a request's query and JSON body and gathers what is wrong with them, in
// the form of the reference's framework: 422 with {"detail": [{"type", "loc", "msg"}]}.
#pragma once

#include "admin/http.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lmcache::admin {

/// What a route that reads with it may answer, for `Route::answers`.
inline const std::pair<unsigned, std::string> kWrongForm{422,
                                                         "A parameter or field has the wrong form"};

/// For one request, which must outlive it. After the reads, refusal() says whether they may be
/// used.
class Input {
 public:
  explicit Input(const Request& request) : request_(request) {}

  // Query. An absent name is the fallback.
  [[nodiscard]] std::string query_text(const std::string& name, std::string fallback = {});
  [[nodiscard]] std::string required_query_text(const std::string& name);
  [[nodiscard]] std::int64_t query_integer(const std::string& name, std::int64_t fallback,
                                           std::int64_t low, std::int64_t high);
  [[nodiscard]] std::string query_choice(const std::string& name, std::string fallback,
                                         const std::vector<std::string>& choices);

  // Body: a JSON object, which an empty body and null are too, unless one is required. Fields
  // without a fallback are required.
  void require_body();
  [[nodiscard]] std::string text(const std::string& name, std::optional<std::string> fallback = {});
  [[nodiscard]] std::string choice(const std::string& name, std::string fallback,
                                   const std::vector<std::string>& choices);
  [[nodiscard]] bool boolean(const std::string& name, bool fallback);
  [[nodiscard]] std::uint64_t integer(const std::string& name,
                                      std::optional<std::uint64_t> fallback = {});
  /// Whole numbers, at most `max` of them.
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& name, std::size_t max,
                                                   bool required);

  /// 422 with every problem found, or nothing.
  [[nodiscard]] std::optional<Response> refusal() const;

 private:
  /// The field, nullptr if absent.
  const Json* field(const std::string& name, bool required);
  void problem(const char* type, Json where, std::string text);

  const Request& request_;
  std::optional<Json> body_;  // parsed at the first use; null when it cannot be used
  Json problems_ = Json::array();
};

}  // namespace lmcache::admin
