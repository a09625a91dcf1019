#include "commands/rates.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

namespace lmcache::commands {
namespace {

constexpr double kGigabyte = 1e9;
using Where = Scrape::Where;

/// Growth of a counter.
double grown(double before, double after) {
  return after < before ? after : after - before;
}

/// Two scrapes and their distance.
class Interval {
 public:
  Interval(const Scrape& before, const Scrape& after, double seconds)
      : before_(before), after_(after), seconds_(seconds) {}

  [[nodiscard]] double growth(std::string_view name, Where where = {}) const {
    return grown(before_.sum(name, where), after_.sum(name, where));
  }
  [[nodiscard]] double per_second(std::string_view name, Where where = {}) const {
    return growth(name, where) / seconds_;
  }
  /// Growth for each value of `label`.
  [[nodiscard]] std::map<std::string, double> growth_by(const std::string& name,
                                                        std::string_view label,
                                                        Where where = {}) const {
    const auto before = before_.sums_by(name, label, where);
    auto after = after_.sums_by(name, label, where);
    for (auto& [key, value] : after)
      if (const auto found = before.find(key); found != before.end())
        value = grown(found->second, value);
    return after;
  }
  [[nodiscard]] double seconds() const { return seconds_; }

 private:
  const Scrape& before_;
  const Scrape& after_;
  double seconds_;
};

double bound_of(const std::string& text) {
  double bound = std::numeric_limits<double>::infinity();  // "+Inf"
  std::from_chars(text.data(), text.data() + text.size(), bound);
  return bound;
}

/// As PromQL's histogram_quantile: within a bucket observations are taken to lie evenly.
double quantile(const std::map<std::string, double>& growth_by_bound, double share) {
  std::vector<std::pair<double, double>> buckets;  // bound, observations up to it
  buckets.reserve(growth_by_bound.size());
  for (const auto& [bound, count] : growth_by_bound) buckets.emplace_back(bound_of(bound), count);
  std::sort(buckets.begin(), buckets.end());
  if (buckets.empty()) return 0;
  const double rank = share * buckets.back().second;
  double low = 0, below = 0;
  for (const auto& [bound, count] : buckets) {
    if (count >= rank)
      return std::isinf(bound) ? low : low + (bound - low) * (rank - below) / (count - below);
    low = bound;
    below = count;
  }
  return low;
}

std::vector<OperationActivity> operations_of(const Interval& interval) {
  const std::string work = "lmcache_mp_request_work_seconds";
  const auto counts = interval.growth_by(work + "_count", "operation");
  const auto sums = interval.growth_by(work + "_sum", "operation");
  std::vector<OperationActivity> out;
  for (const auto& [operation, count] : counts) {
    if (!(count > 0)) continue;
    const auto sum = sums.find(operation);
    out.push_back(
        {operation, count / interval.seconds(), sum == sums.end() ? 0 : sum->second / count,
         quantile(interval.growth_by(work + "_bucket", "le", {"operation", operation}), 0.99)});
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.mean_seconds > b.mean_seconds; });
  return out;
}

/// By engine: its growth of the metric, divided by the interval's seconds and by `unit`, is added
/// to `member`.
void add_rates(const Interval& interval, const Scrape& now, const std::string& metric, Where where,
               double unit, double EngineActivity::*member,
               std::map<std::string, EngineActivity>& engines) {
  const auto growth = interval.growth_by(metric, "engine_id", where);
  for (const Sample& sample : now.series(metric)) {
    const std::string id(sample.label("engine_id"));
    EngineActivity& engine = engines[id];
    engine.engine = id;
    engine.model = sample.label("model_name");
    if (const auto found = growth.find(id); found != growth.end())
      engine.*member = found->second / interval.seconds() / unit;
  }
}

/// Those that moved anything: the server's counts of transfers know every engine it has had, and
/// the bytes those that are registered.
std::vector<EngineActivity> engines_of(const Interval& interval, const Scrape& now) {
  std::map<std::string, EngineActivity> engines;
  const auto add = [&](const std::string& metric, Where where, double unit,
                       double EngineActivity::*member) {
    add_rates(interval, now, metric, where, unit, member, engines);
  };
  add("lmcache_mp_l0_l1_store_throughput_GB_per_second_count", {}, 1,
      &EngineActivity::stores_per_second);
  add("lmcache_mp_l0_l1_load_throughput_GB_per_second_count", {}, 1,
      &EngineActivity::retrieves_per_second);
  const std::string bytes(kEngineBytes);
  add(bytes, {"direction", "store"}, kGigabyte, &EngineActivity::store_gb_per_second);
  add(bytes, {"direction", "retrieve"}, kGigabyte, &EngineActivity::retrieve_gb_per_second);
  std::vector<EngineActivity> out;
  for (auto& [id, engine] : engines)
    if (engine.stores_per_second + engine.retrieves_per_second + engine.store_gb_per_second +
            engine.retrieve_gb_per_second >
        0)
      out.push_back(std::move(engine));
  return out;
}

}  // namespace

Activity state_of(const Scrape& scrape) {
  Activity out;
  const double used = scrape.sum("lmcache_mp_l1_memory_usage_bytes");
  out.pool.reserved = scrape.sum("lmcache_mp_l1_staging_bytes");
  out.pool.pinned = scrape.sum("lmcache_mp_l1_model_bytes", {"state", "pinned"});
  out.pool.resident = std::max(0.0, used - out.pool.reserved - out.pool.pinned);
  out.pool.free = std::max(0.0, scrape.sum("lmcache_mp_l1_memory_total_bytes") - used);
  out.objects = scrape.sum("lmcache_mp_l1_objects");
  out.sessions = scrape.sum("lmcache_mp_sessions");
  out.workers = scrape.sum("lmcache_mp_workers");
  out.connections = scrape.sum("lmcache_mp_connections");
  out.connections_paused = scrape.sum("lmcache_mp_connections_paused");
  return out;
}

Activity activity_between(const Scrape& before, const Scrape& after, double seconds) {
  Activity out = state_of(after);
  if (!(seconds > 0)) return out;
  const Interval interval(before, after, seconds);
  out.seconds = seconds;
  if (const double asked = interval.growth("lmcache_mp_lookup_requested_tokens_total"); asked > 0)
    // A lookup between the reading of the two is in one of them only.
    out.hit_ratio = std::min(1.0, interval.growth("lmcache_mp_lookup_hit_tokens_total") / asked);
  const auto copied = [&](std::string_view direction) {
    return interval.per_second(kCopiedBytes, {"direction", direction}) / kGigabyte;
  };
  out.stored_gb_per_second = copied("store");
  out.retrieved_gb_per_second = copied("retrieve");
  out.evicted_objects_per_second = interval.per_second("lmcache_mp_l1_evicted_chunks_total");
  out.evicted_gb_per_second = interval.per_second("lmcache_mp_l1_evicted_bytes_total") / kGigabyte;
  out.leases_expired_per_second = interval.per_second("lmcache_mp_leases_expired_total");
  out.leases_orphaned_per_second = interval.per_second("lmcache_mp_leases_freed_by_death_total");
  out.failures_per_second = interval.per_second("lmcache_mp_request_failures_total");
  out.engines = engines_of(interval, after);
  out.operations = operations_of(interval);
  return out;
}

}  // namespace lmcache::commands
