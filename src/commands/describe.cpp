// `lmcache describe kvcache`: what /status says, under the keys of the reference's command.
#include "commands/command.hpp"
#include "commands/json_path.hpp"

#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

namespace lmcache::commands {
namespace {

constexpr double kBytesPerGib = 1024.0 * 1024.0 * 1024.0;

void add_overview(Report& report, const Json& status, const std::string& url) {
  const Json l1 = at(status, {"storage_manager", "l1_manager"});
  const Json healthy = at(status, {"is_healthy"});
  report.add("health", "Health", healthy == true ? "OK" : "UNHEALTHY");
  report.add("url", "URL", url);
  report.add("engine_type", "Engine type", at(status, {"engine_type"}));
  report.add("chunk_size", "Chunk size", at(status, {"chunk_size"}));
  const double total = number(at(l1, {"memory_total_bytes"})) / kBytesPerGib;
  const double used = number(at(l1, {"memory_used_bytes"})) / kBytesPerGib;
  char text[64];
  std::snprintf(text, sizeof text, "%.2f (%.1f%%)", used,
                100 * number(at(l1, {"memory_usage_ratio"})));
  report.add("l1_capacity_gb", "L1 capacity (GB)", std::round(total * 100) / 100);
  report.add("l1_used_gb", "L1 used (GB)", text);
  report.add("eviction_policy", "Eviction policy",
             at(status, {"storage_manager", "l1_eviction_controller", "eviction_policy"}));
  report.add("cached_objects", "Cached objects", at(l1, {"total_object_count"}));
  report.add("active_sessions", "Active sessions", at(status, {"active_sessions"}));
}

void add_group(Report& report, const std::string& model, const Json& group) {
  constexpr std::pair<const char*, const char*> kFields[] = {
      {"kernel_group_idx", "Kernel group index"},
      {"engine_group_idx", "Engine group index"},
      {"object_group_idx", "Object group index"},
      {"num_layers", "Num layers"},
      {"tokens_per_block", "Tokens per block"},
      {"slots_per_block", "Slots per block"},
      {"dtype", "Dtype"},
      {"is_mla", "MLA"},
      {"attention_backend", "Attention backend"},
      {"engine_kv_shape", "Engine KV shape"},
      {"engine_kv_concrete_shape", "Engine KV tensor shape"},
      {"window_tokens", "Window (tokens)"},
      {"row_bytes", "Row (bytes)"}};
  report.section("kernel_groups",
                 "Kernel group " + at(group, {"kernel_group_idx"}).dump() + " (" + model + ")");
  report.add("model", "Model", model);
  for (const auto& [key, label] : kFields)
    if (group.contains(key)) report.add(key, label, group[key]);
}

struct Model {
  std::string workers;
  Json layout;
};

void add_models(Report& report, const Json& meta) {
  std::map<std::pair<std::string, std::string>, Model> models;  // by name and world size
  for (const auto& [id, worker] : meta.items()) {
    const Json name = at(worker, {"model_name"});
    Model& model = models[{name.is_string() ? name.get<std::string>() : "",
                           at(worker, {"world_size"}).dump()}];
    model.workers += (model.workers.empty() ? "" : ", ") + id;
    model.layout = at(worker, {"kv_cache_layout"});
  }
  for (const auto& [key, model] : models) {
    report.section("models", "Model: " + key.first);
    report.add("model", "Model", key.first);
    report.add("world_size", "World size", Json::parse(key.second, nullptr, false));
    report.add("gpu_ids", "GPU IDs", model.workers);
    report.add("num_layers", "Num layers", at(model.layout, {"num_layers"}));
    report.add("num_blocks", "Num blocks", at(model.layout, {"num_blocks"}));
    report.add("cache_size_per_token", "Cache size per token (bytes)",
               at(model.layout, {"cache_size_per_token"}));
    for (const Json& group : at(model.layout, {"kernel_groups"}))
      add_group(report, key.first, group);
  }
}

}  // namespace

Result<Outcome> describe(const Target& target) {
  const auto status = target.json(boost::beast::http::verb::get, "/status");
  if (!status) return status.error();
  Outcome outcome{Report("LMCache KV Cache Service")};
  add_overview(outcome.report, *status, target.endpoint.url);
  add_models(outcome.report, at(*status, {"cache_context_meta"}));
  if (at(*status, {"is_healthy"}) != true) outcome.failure = kUnhealthy;
  return outcome;
}

}  // namespace lmcache::commands
