#include "admin/input.hpp"

#include <algorithm>
#include <charconv>

namespace lmcache::admin {
namespace {

std::string listed(const std::vector<std::string>& choices) {
  std::string out;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    out += i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ";
    out += "'" + choices[i] + "'";
  }
  return out;
}

}  // namespace

Input::Input(const Request& request, Json element, Json where)
    : request_(request), body_(std::move(element)), where_(std::move(where)) {
  check_object();
}

void Input::check_object() {
  if (!body_->is_object()) problem("model_attributes_type", where_, "Input should be an object");
}

void Input::problem(const char* type, Json where, std::string text) {
  problems_.push_back({{"type", type}, {"loc", std::move(where)}, {"msg", std::move(text)}});
}

std::optional<Response> Input::refusal() const {
  if (problems_.empty()) return std::nullopt;
  return json({{"detail", problems_}}, 422);
}

std::string Input::query_text(const std::string& name, std::string fallback) {
  const auto found = request_.query.find(name);
  if (found == request_.query.end()) return fallback;
  return found->second;
}

std::string Input::required_query_text(const std::string& name) {
  if (!request_.query.contains(name)) problem("missing", {"query", name}, "Field required");
  return query_text(name);
}

std::int64_t Input::query_integer(const std::string& name, std::int64_t fallback, std::int64_t low,
                                  std::int64_t high) {
  const auto found = request_.query.find(name);
  if (found == request_.query.end()) return fallback;
  const std::string& text = found->second;
  std::int64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size() || value < low || value > high) {
    problem("int_parsing", {"query", name},
            "Input should be a whole number " + std::to_string(low) + ".." + std::to_string(high));
    return fallback;
  }
  return value;
}

std::string Input::query_choice(const std::string& name, std::string fallback,
                                const std::vector<std::string>& choices) {
  std::string value = query_text(name, std::move(fallback));
  if (std::ranges::find(choices, value) == choices.end())
    problem("enum", {"query", name}, "Input should be " + listed(choices));
  return value;
}

Json Input::place(const std::string& name) const {
  Json place = where_;
  place.push_back(name);
  return place;
}

const Json* Input::list_of(const std::string& name) {
  const Json* value = field(name, true);
  if (value == nullptr || value->is_array()) return value;
  problem("list_type", place(name), "Input should be a list");
  return nullptr;
}

void Input::read_body(bool required) {
  body_ = request_.body.empty() ? Json() : Json::parse(request_.body, nullptr, false);
  if (body_->is_null()) {  // the reference's optional bodies may be null
    if (required) problem("missing", where_, "Field required");
    body_ = Json::object();
  }
  if (body_->is_discarded()) problem("json_invalid", where_, "JSON decode error");
  if (!body_->is_discarded()) check_object();
}

const Json* Input::field(const std::string& name, bool required) {
  if (!body_) read_body(false);
  if (!body_->is_object()) return nullptr;
  const auto found = body_->find(name);
  if (found != body_->end()) return &*found;
  if (required) problem("missing", place(name), "Field required");
  return nullptr;
}

std::string Input::text(const std::string& name, std::optional<std::string> fallback) {
  const Json* value = field(name, !fallback);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  if (value != nullptr) problem("string_type", place(name), "Input should be a string");
  return fallback.value_or("");
}

std::string Input::choice(const std::string& name, std::string fallback,
                          const std::vector<std::string>& choices) {
  std::string value = text(name, std::move(fallback));
  if (std::ranges::find(choices, value) == choices.end())
    problem("enum", place(name), "Input should be " + listed(choices));
  return value;
}

std::string Input::text_or_null(const std::string& name) {
  const Json* value = field(name, false);
  return value == nullptr || value->is_null() ? "" : text(name);
}

bool Input::boolean(const std::string& name, bool fallback) {
  const Json* value = field(name, false);
  if (value == nullptr) return fallback;
  // The reference's framework takes 0 and 1 for one too.
  const bool is_true = *value == 1;
  if (is_true || *value == 0) return is_true;
  if (!value->is_boolean()) {
    problem("bool_type", place(name), "Input should be true or false");
    return fallback;
  }
  return value->get<bool>();
}

std::uint64_t Input::integer(const std::string& name, std::optional<std::uint64_t> fallback) {
  const Json* value = field(name, !fallback);
  if (value != nullptr && value->is_number_unsigned()) return value->get<std::uint64_t>();
  if (value != nullptr)
    problem("int_type", place(name), "Input should be a whole number, 0 or more");
  return fallback.value_or(0);
}

std::vector<std::int64_t> Input::integers(const std::string& name, std::size_t max, bool required) {
  const Json* value = field(name, required);
  std::vector<std::int64_t> out;
  if (value == nullptr) return out;
  const bool fits =
      value->is_array() && value->size() <= max && std::ranges::all_of(*value, [](const Json& v) {
        return v.is_number_integer() &&
               (!v.is_number_unsigned() || v.get<std::uint64_t>() <= std::uint64_t{INT64_MAX});
      });
  if (!fits) {
    problem("list_type", place(name),
            "Input should be a list of at most " + std::to_string(max) + " whole numbers");
    return out;
  }
  out.reserve(value->size());
  for (const Json& v : *value) out.push_back(v.get<std::int64_t>());
  return out;
}

}  // namespace lmcache::admin
