// Main fields only: an object may have more. tests/admin/endpoints_test.py holds answers against
// them.
#include "admin/reply_schemas.hpp"

#include <initializer_list>
#include <map>
#include <tuple>

namespace lmcache::admin {
namespace {

Json of_type(const char* type) {
  return {{"type", type}};
}

Json text_type() {
  return of_type("string");
}

Json integer() {
  return of_type("integer");
}

Json number() {
  return of_type("number");
}

Json boolean() {
  return of_type("boolean");
}

Json array_of(Json items) {
  return {{"type", "array"}, {"items", std::move(items)}};
}

/// By names that are not known beforehand.
Json map_of(Json values) {
  return {{"type", "object"}, {"additionalProperties", std::move(values)}};
}

/// All of these fields are always there.
Json object(std::initializer_list<std::pair<const char*, Json>> fields) {
  Json out{{"type", "object"}, {"properties", Json::object()}, {"required", Json::array()}};
  for (const auto& [name, schema] : fields) {
    out["properties"][name] = schema;
    out["required"].push_back(name);
  }
  return out;
}

Json one_of(std::initializer_list<const char*> values) {
  Json out = text_type();
  for (const char* value : values) out["enum"].push_back(value);
  return out;
}

Json json_body(Json schema) {
  return {{"application/json", {{"schema", std::move(schema)}}}};
}

Json plain_text() {
  return {{"text/plain", {{"schema", text_type()}}}};
}

Json health(const char* good) {
  return json_body(object({{"status", one_of({good})}}));
}

Json bad_health() {
  return json_body(object({{"status", text_type()}, {"reason", text_type()}}));
}

Json status() {
  const Json fill = object({{"is_healthy", boolean()},
                            {"memory_used_bytes", integer()},
                            {"memory_total_bytes", integer()},
                            {"memory_usage_ratio", number()},
                            {"total_object_count", integer()},
                            {"read_locked_count", integer()},
                            {"write_locked_count", integer()}});
  const Json eviction = object({{"is_healthy", boolean()}, {"eviction_policy", text_type()}});
  const Json worker = object({{"model_name", text_type()},
                              {"world_size", integer()},
                              {"stored_bytes", integer()},
                              {"retrieved_bytes", integer()},
                              {"kv_cache_layout", of_type("object")}});
  const Json gpu = object({{"uuid", text_type()},
                           {"is_healthy", boolean()},
                           {"error", text_type()},
                           {"workers", integer()},
                           {"staging_bytes", integer()},
                           {"stored_bytes", integer()},
                           {"retrieved_bytes", integer()}});
  return object({{"is_healthy", boolean()},
                 {"engine_type", text_type()},
                 {"chunk_size", integer()},
                 {"hash_algorithm", text_type()},
                 {"active_sessions", integer()},
                 {"storage_manager", object({{"is_healthy", boolean()},
                                             {"l1_manager", fill},
                                             {"l1_eviction_controller", eviction},
                                             {"num_l2_adapters", integer()}})},
                 {"registered_gpu_ids", array_of(integer())},
                 {"cache_context_meta", map_of(worker)},
                 {"gpus", array_of(gpu)},
                 {"l1_pinning", object({{"total_bytes", integer()},
                                        {"touched_bytes", integer()},
                                        {"pinned_bytes", integer()},
                                        {"ready_bytes", integer()},
                                        {"error", text_type()}})},
                 {"connections", object({{"open", integer()},
                                         {"paused", integer()},
                                         {"accepted", integer()},
                                         {"refused", integer()},
                                         {"unsent_bytes", integer()}})}});
}

Json config() {
  const Json group = of_type("object");
  return object({{"mp", group},
                 {"storage_manager", group},
                 {"observability", group},
                 {"http", group},
                 {"limits", group}});
}

Json objects() {
  const Json key = object({{"chunk_hash_hex", text_type()},
                           {"model_name", text_type()},
                           {"kv_rank", integer()},
                           {"object_group_id", integer()},
                           {"cache_salt", text_type()}});
  return object({{"adapter", text_type()},
                 {"shared", boolean()},
                 {"entries", array_of(object({{"key", key}, {"size_bytes", integer()}}))},
                 {"next_page_token", {{"type", {"string", "null"}}}}});
}

Json checksums() {
  const Json digests = array_of(text_type());
  return object({{"status", one_of({"success"})},
                 {"chunk_size", integer()},
                 {"num_chunks", integer()},
                 {"chunk_checksums", {{"anyOf", {digests, map_of(digests)}}}},
                 {"layerwise", boolean()},
                 {"block_id_ranges", of_type("array")}});
}

Json quota(std::initializer_list<std::pair<const char*, Json>> more) {
  Json out = object(more);
  out["properties"]["cache_salt"] = text_type();
  out["required"].push_back("cache_salt");
  return json_body(std::move(out));
}

Json quotas() {
  return object(
      {{"users", map_of(object({{"limit_gb", number()}, {"current_usage_gb", number()}}))}});
}

using Key = std::tuple<Verb, std::string, unsigned>;

std::map<Key, Json> own_replies() {
  constexpr auto kGet = Verb::get;
  const Json quota_error = json_body(object({{"error", text_type()}}));
  const std::string quota_path = "/quota/{cache_salt}";
  return {
      {{kGet, "/", 200}, json_body(object({{"status", text_type()}, {"service", text_type()}}))},
      {{kGet, "/version", 200}, json_body(text_type())},
      {{kGet, "/lmc_version", 200}, json_body(text_type())},
      {{kGet, "/commit_id", 200}, json_body(text_type())},
      {{kGet, "/healthcheck", 200}, health("healthy")},
      {{kGet, "/healthcheck", 503}, bad_health()},
      {{kGet, "/readyz", 200}, health("ready")},
      {{kGet, "/readyz", 503}, bad_health()},
      {{kGet, "/status", 200}, json_body(status())},
      {{kGet, "/config", 200}, json_body(config())},
      {{kGet, "/config/adapters", 200},
       json_body(object({{"adapters", array_of(of_type("object"))}}))},
      {{Verb::post, "/cache/clear", 200},
       json_body(
           object({{"status", one_of({"ok"})}, {"cleared", object({{"tier", text_type()}})}}))},
      {{kGet, "/cache/objects", 200}, json_body(objects())},
      {{Verb::delete_, "/cache/objects", 200},
       json_body(object({{"deleted", integer()}, {"skipped", integer()}, {"ok", boolean()}}))},
      {{Verb::post, "/cache/prefetches", 202},
       json_body(object({{"chunks", integer()}, {"status", text_type()}}))},
      {{Verb::post, "/cache/checksums", 200}, json_body(checksums())},
      {{kGet, "/loglevel", 200}, plain_text()},
      {{kGet, "/loglevel", 404}, plain_text()},
      {{kGet, "/loglevel", 405}, plain_text()},
      {{Verb::put, "/loglevel", 200}, plain_text()},
      {{Verb::put, "/loglevel", 400}, plain_text()},
      {{Verb::put, "/loglevel", 404}, plain_text()},
      {{kGet, "/metrics", 200},
       {{"text/plain", {{"schema", text_type()}}},
        {"application/openmetrics-text", {{"schema", text_type()}}}}},
      {{kGet, "/ui", 200}, {{"text/html", {{"schema", text_type()}}}}},
      {{Verb::put, quota_path, 200}, quota({{"limit_gb", number()}, {"status", one_of({"ok"})}})},
      {{Verb::put, quota_path, 400}, quota_error},
      {{Verb::put, quota_path, 409}, quota_error},
      {{kGet, quota_path, 200},
       quota({{"limit_gb", number()}, {"current_usage_gb", number()}, {"exists", boolean()}})},
      {{Verb::delete_, quota_path, 200}, quota({{"status", one_of({"removed", "not_found"})}})},
      {{kGet, "/quota", 200}, json_body(quotas())},
      {{kGet, "/openapi.json", 200},
       json_body(object({{"openapi", text_type()},
                         {"info", of_type("object")},
                         {"paths", of_type("object")}}))}};
}

/// What every route says of a failure: {"detail"}, which of a wrong form is a list.
Json failure(unsigned status) {
  const Json problem =
      object({{"type", text_type()}, {"loc", of_type("array")}, {"msg", text_type()}});
  return json_body(object({{"detail", status == 422 ? array_of(problem) : text_type()}}));
}

}  // namespace

Json reply_content(Verb verb, const std::string& pattern, unsigned status) {
  static const std::map<Key, Json> known = own_replies();
  if (const auto found = known.find({verb, pattern, status}); found != known.end())
    return found->second;
  return status >= 400 ? failure(status) : Json();
}

}  // namespace lmcache::admin
