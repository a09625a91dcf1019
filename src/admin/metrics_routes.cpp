// /metrics. Everything here is read from atomics and from what housekeeping published: a scrape
// takes no lock that serving needs.
#include "admin/metrics_catalog.hpp"
#include "admin/process_stats.hpp"
#include "admin/routes.hpp"
#include "obs/counters.hpp"
#include "obs/pulse.hpp"
#include "wire/operations.hpp"

#include <lmcache/version.hpp>

#include <algorithm>
#include <chrono>

namespace lmcache::admin {
namespace {

using namespace catalog;

constexpr Label kTag{"l1_tag", "_default"};

void l1(Exposition& out, const Context& context, const CacheStats& stats) {
  const auto of_l1 = [&](const MetricInfo& info, auto value) {
    out.family(info);
    out.sample({{"backend", "dram"}, kTag}, value);
  };
  of_l1(kL1Usage, stats.used_bytes);
  const double total = static_cast<double>(std::max<std::uint64_t>(stats.total_bytes, 1));
  of_l1(kL1Ratio, static_cast<double>(stats.used_bytes) / total);
  of_l1(kL1Total, stats.total_bytes);
  of_l1(kL1Staging, stats.reserved_bytes);
  out.one(kL1LargestFree, stats.largest_free_bytes);
  out.one(kL1Objects, stats.objects);
  out.one(kL1Chunks, stats.chunks);
  out.one(kL1PinnedChunks, stats.pinned_chunks);
  out.family(kModelBytes);
  obs::metrics().models.for_each([&](const auto& labels, const obs::ModelUsage& row) {
    out.sample({{"model_name", labels[0]}, {"state", "resident"}}, row.resident_bytes.load());
    out.sample({{"model_name", labels[0]}, {"state", "pinned"}}, row.pinned_bytes.load());
  });
  const auto by_salt = [&](const MetricInfo& info, obs::Counter obs::L1Counts::*counter) {
    out.family(info);
    obs::metrics().l1.for_each([&](const auto& labels, const obs::L1Counts& row) {
      const std::uint64_t value = (row.*counter).value();
      if (labels[0].empty()) {
        out.sample({kTag}, value);  // as the reference has it: no label for the empty salt
      } else {
        out.sample({kTag, {"cache_salt", labels[0]}}, value);
      }
    });
  };
  by_salt(kL1Written, &obs::L1Counts::written_objects);
  by_salt(kL1Read, &obs::L1Counts::read_objects);
  out.family(kL1Evicted);
  out.sample({kTag}, stats.evicted_objects);
  // The two are read one after the other, so the difference may be off by what went in between.
  const std::uint64_t watermark = obs::metrics().evicted_by_watermark_bytes.value();
  const std::uint64_t rest = stats.evicted_bytes - std::min(stats.evicted_bytes, watermark);
  const std::string& policy = context.config.eviction_policy;
  out.family(kL1EvictedBytes);
  out.sample({{"policy", policy}, {"reason", "watermark"}}, watermark);
  out.sample({{"policy", policy}, {"reason", "allocation"}}, rest);
  out.one(kEvictionTicks, obs::metrics().eviction_ticks.value());
  out.one(kEvictionTriggered, obs::metrics().eviction_triggered.value());
  out.one(kAllocationFailures, stats.allocation_failures);
}

void transfers(Exposition& out, const copy::CpuCopier::Stats& copies) {
  const obs::Metrics& counted = obs::metrics();
  const auto of_device = [&](const MetricInfo& info, const obs::Counter& counter) {
    out.family(info);
    out.sample({{"device", "cpu"}}, counter.value());
  };
  of_device(kSubmittedStores, counted.submitted_stores);
  of_device(kFinishedStores, counted.finished_stores);
  of_device(kSubmittedRetrieves, counted.submitted_retrieves);
  of_device(kFinishedRetrieves, counted.finished_retrieves);
  const auto rates = [&](const MetricInfo& info,
                         obs::GigabytesHistogram obs::TransferRates::*histogram) {
    out.family(info);
    counted.rates.for_each([&](const auto& labels, const obs::TransferRates& row) {
      out.histogram({{"device", labels[0]}, {"engine_id", labels[1]}, {"model_name", labels[2]}},
                    row.*histogram);
    });
  };
  rates(kStoreThroughput, &obs::TransferRates::store);
  rates(kLoadThroughput, &obs::TransferRates::load);
  out.family(kChunksLoaded);
  counted.loads.for_each([&](const auto& labels, const obs::LoadCounts& row) {
    out.sample({{"model_name", labels[0]}, {"cache_salt", labels[1]}, {"worker_id", labels[2]}},
               row.chunks.value());
  });
  out.family(kCopiedBytes);
  out.sample({{"direction", "store"}}, copies.stored_bytes);
  out.sample({{"direction", "retrieve"}}, copies.retrieved_bytes);
  out.one(kCopyQueue, copies.queued_jobs);
  out.one(kCopyFailures, copies.failed_jobs);
}

void lookups(Exposition& out, const engine::Figures& figures) {
  const obs::Metrics& counted = obs::metrics();
  const auto by_model = [&](const MetricInfo& info, obs::Counter obs::LookupCounts::*counter) {
    out.family(info);
    counted.lookups.for_each([&](const auto& labels, const obs::LookupCounts& row) {
      out.sample({{"model_name", labels[0]}, {"cache_salt", labels[1]}}, (row.*counter).value());
    });
  };
  by_model(kLookups, &obs::LookupCounts::lookups);
  by_model(kRequestedTokens, &obs::LookupCounts::requested_tokens);
  by_model(kHitTokens, &obs::LookupCounts::hit_tokens);
  by_model(kHitL1Tokens, &obs::LookupCounts::hit_tokens);
  by_model(kHitL1Keys, &obs::LookupCounts::hit_objects);
  out.one(kPrefetchJobs, std::uint64_t{0});
  out.one(kSessions, figures.sessions);
  out.one(kLeasesExpired, counted.leases_expired.value());
  out.one(kLeasesFreed, counted.leases_freed_by_death.value());
}

/// Calls visit(name, counts) for each operation that was asked for.
template <class Visit>
void for_each_operation(Visit visit) {
  const auto& counts = obs::metrics().operations;
  if (counts[0].answered.value() > 0) visit(std::string_view("unknown"), counts[0]);
  for (const wire::Operation& operation : wire::all_operations()) {
    const auto& row = counts[static_cast<std::size_t>(operation.op)];
    if (row.answered.value() > 0) visit(operation.name, row);
  }
}

void requests(Exposition& out) {
  out.family(kRequests);
  for_each_operation([&](std::string_view name, const obs::OperationCounts& row) {
    out.sample({{"operation", name}}, row.answered.value());
  });
  out.family(kFailures);
  for (const obs::FailureCount& failure : obs::failure_counts())
    out.sample({{"operation", failure.operation}, {"cause", to_string(failure.cause)}},
               failure.count);
  out.family(kQueueSeconds);
  for_each_operation([&](std::string_view name, const obs::OperationCounts& row) {
    out.histogram({{"operation", name}}, row.queue);
  });
  out.family(kWorkSeconds);
  for_each_operation([&](std::string_view name, const obs::OperationCounts& row) {
    out.histogram({{"operation", name}}, row.work);
  });
  out.family(kReplySeconds);
  out.histogram({}, obs::metrics().reply);
}

void connections(Exposition& out, const net::NetStats& stats) {
  out.one(kConnections, stats.connections_open);
  out.one(kPaused, stats.connections_paused);
  out.one(kAccepted, stats.connections_accepted);
  out.one(kRefused, stats.connections_refused);
  out.one(kAcceptErrors, stats.accept_errors);
  out.one(kHandshakeTimeouts, stats.handshake_timeouts);
  out.one(kHeartbeatTimeouts, stats.heartbeat_timeouts);
  out.family(kProtocolErrors);
  for (std::size_t i = 0; i < stats.protocol_errors.size(); ++i)
    out.sample({{"kind", to_string(static_cast<wire::ZmtpError>(i))}}, stats.protocol_errors[i]);
  out.one(kMessages, stats.messages_in);
  out.one(kBytesIn, stats.bytes_in);
  out.one(kBytesOut, stats.bytes_out);
  out.one(kUnsentBytes, stats.unsent_bytes);
}

void process(Exposition& out, const Context& context, const engine::Figures& figures) {
  out.one(kWorkers, figures.workers);
  out.one(kChains, figures.chains);
  out.one(kChainBytes, figures.chain_bytes);
  out.family(kLoopSilence);
  for (const obs::Vital& vital : obs::vitals())
    out.sample({{"loop", vital.name}}, std::chrono::duration<double>(vital.silence).count());
  out.family(kBuild);
  out.sample(
      {{"version", kVersion}, {"commit", kCommit}, {"instance_id", context.config.instance_id}},
      std::uint64_t{1});
  const ProcessStats stats = process_stats();
  out.one(kCpu, stats.cpu_seconds);
  out.one(kResident, stats.resident_bytes);
  out.one(kVirtual, stats.virtual_bytes);
  out.one(kOpenFds, stats.open_fds);
  out.one(kMaxFds, stats.max_fds);
  out.one(kStartTime, stats.start_time);
}

Response metrics_page(const Context& context) {
  const engine::Figures figures = context.engine.figures();
  Exposition out;
  l1(out, context, figures.cache);
  transfers(out, figures.copies);
  lookups(out, figures);
  requests(out);
  connections(out, context.server.stats());
  process(out, context, figures);
  return {200, "text/plain; version=0.0.4; charset=utf-8", std::move(out).take()};
}

}  // namespace

void add_metrics_routes(Router& router, const Context& context) {
  if (!context.config.metrics) return;
  router.add({Verb::get, "/metrics", "Metrics in the Prometheus text format",
              [&context](const Request&) { return metrics_page(context); }});
  router.add({Verb::get,
              "/metrics/",
              "Redirects to /metrics",
              [](const Request&) {
                return Response{307, "text/plain; charset=utf-8", "", {{"Location", "/metrics"}}};
              },
              Lane::kQuick,
              false,
              {},
              nullptr,
              {{307, "See /metrics"}}});
}

}  // namespace lmcache::admin
