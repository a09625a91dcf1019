#include "commands/top_view.hpp"

#include "commands/human.hpp"
#include "obs/clean_text.hpp"

#include <algorithm>
#include <array>

namespace lmcache::commands {
namespace {

// Nothing is wider than a terminal of 80 columns.
constexpr std::size_t kBarWidth = 40;
constexpr int kModelWidth = 24;

double total(const PoolFill& pool) {
  return pool.pinned + pool.resident + pool.reserved + pool.free;
}

/// "[##===+....]": a character for each state, as wide as its share.
std::string bar(const PoolFill& pool) {
  const std::array<std::pair<double, char>, 3> states{
      {{pool.pinned, '#'}, {pool.resident, '='}, {pool.reserved, '+'}}};
  std::string out;
  double filled = 0;
  for (const auto& [bytes, mark] : states) {
    filled += bytes;
    const double end = filled / std::max(total(pool), 1.0) * kBarWidth;
    out.resize(std::max(out.size(),
                        static_cast<std::size_t>(std::clamp(end + 0.5, 0.0, double{kBarWidth}))),
               mark);
  }
  out.resize(kBarWidth, '.');
  return std::string("[").append(out).append("]");
}

std::string pool_lines(const Subject& subject, const PoolFill& pool) {
  const auto part = [&](const char* name, char mark, double bytes) {
    return format("  %c %-8s %11s (%5.1f%%)", mark, name, bytes_text(bytes).c_str(),
                  100 * bytes / std::max(total(pool), 1.0));
  };
  return "L1 " + bytes_text(total(pool)) + ", " + obs::clean_text(subject.policy, 16) + "  " +
         bar(pool) + "\n" + part("pinned", '#', pool.pinned) +
         part("resident", '=', pool.resident) + "\n" + part("reserved", '+', pool.reserved) +
         part("free", '.', pool.free) + "\n";
}

std::string rate_lines(const Activity& a) {
  const std::string hits = a.hit_ratio ? format("%.1f%%", 100 * *a.hit_ratio) : "-";
  return format("Hit rate %s  Stored %.2f GB/s  Retrieved %.2f GB/s  Failures %.1f/s\n",
                hits.c_str(), a.stored_gb_per_second, a.retrieved_gb_per_second,
                a.failures_per_second) +
         format("Evicted %.1f objects/s, %.2f GB/s\nLeases expired %.1f/s, orphaned %.1f/s\n",
                a.evicted_objects_per_second, a.evicted_gb_per_second, a.leases_expired_per_second,
                a.leases_orphaned_per_second);
}

/// Of a name that is too long the part that tells models of one maker apart.
std::string model_text(const std::string& model) {
  const std::size_t maker = model.size() > kModelWidth ? model.rfind('/') + 1 : 0;
  return obs::clean_text(std::string_view(model).substr(maker), kModelWidth);
}

std::string engine_lines(const std::vector<EngineActivity>& engines) {
  if (engines.empty()) return "";
  std::string out = format("\n%-20s %-*s %8s %6s %11s %6s\n", "Engine", kModelWidth, "Model",
                           "Stores/s", "GB/s", "Retrieves/s", "GB/s");
  for (const EngineActivity& e : engines)
    out += format("%-20s %-*s %8.1f %6.2f %11.1f %6.2f\n", obs::clean_text(e.engine, 20).c_str(),
                  kModelWidth, model_text(e.model).c_str(), e.stores_per_second,
                  e.store_gb_per_second, e.retrieves_per_second, e.retrieve_gb_per_second);
  return out;
}

std::string operation_lines(const std::vector<OperationActivity>& operations) {
  if (operations.empty()) return "";
  std::string out = format("\n%-28s %10s %10s %10s\n", "Operation", "Per s", "Mean", "p99");
  for (const OperationActivity& o : operations)
    out +=
        format("%-28s %10.1f %10s %10s\n", obs::clean_text(o.operation, 28).c_str(), o.per_second,
               duration_text(o.mean_seconds).c_str(), duration_text(o.p99_seconds).c_str());
  return out;
}

}  // namespace

std::string as_text(const Subject& subject, const Activity& a) {
  std::string out =
      obs::clean_text(subject.url, 120) + (subject.healthy ? "  OK" : "  UNHEALTHY") + "\n";
  out += pool_lines(subject, a.pool);
  out += format("Objects %.0f  Sessions %.0f  Workers %.0f  Connections %.0f (%.0f paused)\n",
                a.objects, a.sessions, a.workers, a.connections, a.connections_paused);
  if (!(a.seconds > 0)) return out;
  return out + rate_lines(a) + engine_lines(a.engines) + operation_lines(a.operations);
}

Json as_json(const Subject& subject, const Activity& a) {
  Json engines = Json::array(), operations = Json::array();
  for (const EngineActivity& e : a.engines)
    engines.push_back({{"engine_id", e.engine},
                       {"model", e.model},
                       {"stores_per_second", e.stores_per_second},
                       {"store_gb_per_second", e.store_gb_per_second},
                       {"retrieves_per_second", e.retrieves_per_second},
                       {"retrieve_gb_per_second", e.retrieve_gb_per_second}});
  for (const OperationActivity& o : a.operations)
    operations.push_back({{"operation", o.operation},
                          {"per_second", o.per_second},
                          {"mean_seconds", o.mean_seconds},
                          {"p99_seconds", o.p99_seconds}});
  return {{"url", subject.url},
          {"is_healthy", subject.healthy},
          {"seconds", a.seconds},
          {"l1",
           {{"policy", subject.policy},
            {"total_bytes", total(a.pool)},
            {"pinned_bytes", a.pool.pinned},
            {"resident_bytes", a.pool.resident},
            {"reserved_bytes", a.pool.reserved},
            {"free_bytes", a.pool.free},
            {"objects", a.objects}}},
          {"sessions", a.sessions},
          {"workers", a.workers},
          {"connections", a.connections},
          {"connections_paused", a.connections_paused},
          {"hit_ratio", a.hit_ratio ? Json(*a.hit_ratio) : Json()},
          {"stored_gb_per_second", a.stored_gb_per_second},
          {"retrieved_gb_per_second", a.retrieved_gb_per_second},
          {"evicted_objects_per_second", a.evicted_objects_per_second},
          {"evicted_gb_per_second", a.evicted_gb_per_second},
          {"leases_expired_per_second", a.leases_expired_per_second},
          {"leases_orphaned_per_second", a.leases_orphaned_per_second},
          {"failures_per_second", a.failures_per_second},
          {"engines", std::move(engines)},
          {"operations", std::move(operations)}};
}

std::string cut_to(const std::string& text, std::size_t rows, std::size_t columns) {
  std::string out;
  std::size_t begin = 0;
  for (std::size_t row = 0; row < rows && begin < text.size(); ++row) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    if (row > 0) out += '\n';
    out += text.substr(begin, std::min(end - begin, columns));
    begin = end + 1;
  }
  return out;
}

}  // namespace lmcache::commands
