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
  void require_body() { read_body(true); }
  [[nodiscard]] std::string text(const std::string& name, std::optional<std::string> fallback = {});
  [[nodiscard]] std::string choice(const std::string& name, std::string fallback,
                                   const std::vector<std::string>& choices);
  /// Empty where it is null or absent.
  [[nodiscard]] std::string text_or_null(const std::string& name);
  [[nodiscard]] bool boolean(const std::string& name, bool fallback);
  [[nodiscard]] std::uint64_t integer(const std::string& name,
                                      std::optional<std::uint64_t> fallback = {});
  /// Whole numbers, at most `max` of them.
  [[nodiscard]] std::vector<std::int64_t> integers(const std::string& name, std::size_t max,
                                                   bool required);

  /// A list of objects: read(Input&) for each until one has a problem, which becomes this one's.
  /// How many there are.
  template <class Read>
  std::size_t objects(const std::string& name, Read read) {
    const Json* list = list_of(name);
    if (list == nullptr) return 0;
    for (std::size_t i = 0; i < list->size() && problems_.empty(); ++i) {
      Json where = place(name);
      where.push_back(i);
      Input element(request_, (*list)[i], std::move(where));
      read(element);
      problems_.swap(element.problems_);
    }
    return list->size();
  }

  /// 422 with every problem found, or nothing.
  [[nodiscard]] std::optional<Response> refusal() const;

 private:
  /// What stands at `where` of a body.
  Input(const Request& request, Json element, Json where);
  void read_body(bool required);
  void check_object();
  /// nullptr, and a problem, if it is not there or no list.
  const Json* list_of(const std::string& name);
  [[nodiscard]] Json place(const std::string& name) const;
  /// The field, nullptr if absent.
  const Json* field(const std::string& name, bool required);
  void problem(const char* type, Json where, std::string text);

  const Request& request_;
  std::optional<Json>
      body_;  // the object that is read; parsed at the first use; null when it cannot be used
  Json where_ = Json::array({"body"});
  Json problems_ = Json::array();
};

}  // namespace lmcache::admin
