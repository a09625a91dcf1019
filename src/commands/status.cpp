// `lmcache status`: /status for machines as it is, for people what an operator looks at first.
#include "commands/command.hpp"
#include "commands/human.hpp"
#include "commands/json_path.hpp"

namespace lmcache::commands {
namespace {

std::string bytes(const Json& value) {
  return bytes_text(number(value));
}

void add_server(Report& report, const Json& status, const std::string& url) {
  report.add("health", "Health", at(status, {"is_healthy"}) == true ? "OK" : "UNHEALTHY");
  report.add("url", "URL", url);
  report.add("chunk_size", "Chunk size (tokens)", at(status, {"chunk_size"}));
  report.add("active_sessions", "Active sessions", at(status, {"active_sessions"}));
  report.add("connections", "Connections", at(status, {"connections", "open"}));
  report.add("paused", "- of those not read from", at(status, {"connections", "paused"}));
}

void add_l1(Report& report, const Json& status) {
  const Json l1 = at(status, {"storage_manager", "l1_manager"});
  report.section("l1", "L1");
  report.add("total", "Size", bytes(at(l1, {"memory_total_bytes"})));
  report.add("used", "Used",
             bytes(at(l1, {"memory_used_bytes"})) +
                 format(" (%.1f%%)", 100 * number(at(l1, {"memory_usage_ratio"}))));
  report.add("policy", "Eviction policy",
             at(status, {"storage_manager", "l1_eviction_controller", "eviction_policy"}));
  report.add("objects", "Objects", at(l1, {"total_object_count"}));
  report.add("read_locked", "- pinned by readers", at(l1, {"read_locked_count"}));
  report.add("write_locked", "- being written", at(l1, {"write_locked_count"}));
  if (const Json pinning = at(status, {"l1_pinning"}); number(at(pinning, {"pinned_bytes"})) > 0)
    report.add("pinned", "Registered with the GPU driver", bytes(at(pinning, {"pinned_bytes"})));
}

void add_workers(Report& report, const Json& status) {
  const Json workers = at(status, {"cache_context_meta"});
  for (const auto& [id, worker] : workers.items()) {
    report.section("workers", "Worker " + id);
    report.add("model", "Model", at(worker, {"model_name"}));
    report.add("world_size", "World size", at(worker, {"world_size"}));
    report.add("num_blocks", "Blocks", at(worker, {"kv_cache_layout", "num_blocks"}));
  }
}

void add_gpus(Report& report, const Json& status) {
  for (const Json& gpu : at(status, {"gpus"})) {
    const Json uuid = at(gpu, {"uuid"}), error = at(gpu, {"error"});
    report.section("gpus", "GPU " + (uuid.is_string() ? uuid.get<std::string>() : "unknown"));
    report.add("health", "Health", at(gpu, {"is_healthy"}) == true ? Json("OK") : error);
    report.add("workers", "Workers", at(gpu, {"workers"}));
    report.add("queued", "Queued transfers", at(gpu, {"queued_transfers"}));
    report.add("failed", "Failed transfers", at(gpu, {"failed_transfers"}));
  }
}

}  // namespace

Result<Outcome> status(const Target& target) {
  const auto answer = target.json(boost::beast::http::verb::get, "/status");
  if (!answer) return answer.error();
  Outcome outcome{Report("LMCache server")};
  outcome.json = answer->dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  add_server(outcome.report, *answer, target.endpoint.url);
  add_l1(outcome.report, *answer);
  add_workers(outcome.report, *answer);
  add_gpus(outcome.report, *answer);
  if (at(*answer, {"is_healthy"}) != true) outcome.failure = kUnhealthy;
  return outcome;
}

}  // namespace lmcache::commands
