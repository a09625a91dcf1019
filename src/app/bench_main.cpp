#include "app/bench_main.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>

#include "obs/clean_text.hpp"
#include "sim/bound.hpp"
#include "sim/generate.hpp"
#include "sim/model_layout.hpp"
#include "sim/plot.hpp"
#include "sim/simulate.hpp"

namespace lmcache::app {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
constexpr int kSizesWithoutChoice = 7;  ///< the whole, its half, ... its 64th

template <class T>
T value_or_throw(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().text);
  return std::move(*result);
}

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error("cannot write '" + path + "'");
}

// ------------------------------------------------------------------------------- bench trace

struct TraceCommand {
  sim::TraceOptions options;
  std::string workload = "chat", out;
  std::uint32_t pause_seconds = 1;

  void add_flags(CLI::App& app) {
    app.add_option("--workload", workload, std::string(sim::workload_names()))
        ->capture_default_str();
    app.add_option("--seed", options.seed, "equal seeds give equal traces")->capture_default_str();
    app.add_option("--requests", options.requests, "length of the trace")
        ->check(CLI::Range(1u, 100'000'000u))
        ->capture_default_str();
    app.add_option("--active", options.active, "conversations, tasks or documents at a time")
        ->check(CLI::Range(1u, 10'000'000u))
        ->capture_default_str();
    app.add_option("--tenants", options.tenants, "with several, each request has a cache_salt")
        ->check(CLI::Range(1u, 1'000'000u))
        ->capture_default_str();
    app.add_option("--pause-seconds", pause_seconds,
                   "the shortest pause between a source's requests")
        ->check(CLI::Range(1u, 86'400u))
        ->capture_default_str();
    app.add_option("--pause-doublings", options.pause_doublings,
                   "pauses up to so many doublings of that, each as likely as the next")
        ->check(CLI::Range(1u, sim::kMostPauseDoublings))
        ->capture_default_str();
    app.add_option("--out", out, "file to write; stdout without");
  }

  void run() {
    options.workload = workload;
    options.pause_ms = pause_seconds * 1000;
    const sim::Trace trace = value_or_throw(sim::generate_trace(options));
    if (out.empty()) return sim::write_trace(std::cout, trace);
    std::ofstream file(out, std::ios::binary);
    sim::write_trace(file, trace);
    file.close();
    if (!file) throw std::runtime_error("cannot write '" + out + "'");
  }
};

// ---------------------------------------------------------------------------- bench eviction

struct EvictionCommand {
  std::string trace_path, layout = "dense", plot;
  std::vector<std::string> policies;
  std::vector<double> sizes_gib;
  std::uint32_t block_tokens = sim::kTraceBlockTokens;
  bool one_group = false, as_json = false;
  sim::SimulationOptions options;

  void add_flags(CLI::App& app) {
    app.add_option("--trace", trace_path, "JSON lines as of Mooncake, or from `bench trace`")
        ->required();
    app.add_option("--l1-size-gb", sizes_gib,
                   "pool sizes in GiB, comma separated; without, from a 64th of what the trace "
                   "stores to all of it")
        ->delimiter(',')
        ->check(CLI::Range(0.001, 1e6));
    app.add_option("--policy", policies, "policies, comma separated; without, all")->delimiter(',');
    app.add_option("--layout", layout, std::string(sim::model_layout_names()))
        ->capture_default_str();
    app.add_flag("--one-group", one_group, "no windows: every object is needed for every hit");
    app.add_option("--trace-block-tokens", block_tokens, "tokens of a block of the trace")
        ->check(CLI::Range(1u, 1u << 20))
        ->capture_default_str();
    app.add_option("--step-chunks", options.step_chunks, "chunks an engine stores at a time")
        ->check(CLI::Range(1u, 1u << 20))
        ->capture_default_str();
    app.add_option("--eviction-trigger-watermark", options.cache.trigger_watermark)
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--eviction-ratio", options.cache.eviction_ratio)
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--window-checkpoint-chunks", options.cache.window_checkpoint_chunks)
        ->check(CLI::Range(1u, 1'000'000u))
        ->capture_default_str();
    app.add_flag("--json", as_json, "one JSON object a line instead of the table");
    app.add_option("--plot", plot, "SVG file to draw hit ratio over pool size into");
  }

  void run();

 private:
  struct Run {
    std::string policy;
    double gib;
    sim::SimulationReport report;
  };
  void prepare(const sim::Trace& trace);
  [[nodiscard]] std::uint64_t prefix_bytes() const;
  void print_bounds() const;
  void print(const Run& run) const;
  void draw(const std::vector<Run>& runs) const;

  std::uint64_t asked_ = 0, repeated_ = 0;         ///< chunks
  std::vector<std::pair<double, double>> bounds_;  ///< (GiB, hit ratio)
};

/// Pool bytes of a chunk that every longer hit needs: what the bound counts.
std::uint64_t EvictionCommand::prefix_bytes() const {
  std::uint64_t bytes = 0;
  const std::uint64_t align = options.cache.align_bytes;
  for (const ObjectLayout::Group& group : options.layout->groups)
    if (group.window_chunks <= 0) bytes += (group.bytes + align - 1) / align * align;
  return bytes;
}

void EvictionCommand::prepare(const sim::Trace& trace) {
  options.block_tokens = block_tokens;
  options.chunk_tokens = sim::kModelChunkTokens;
  options.layout = value_or_throw(sim::model_layout(layout));
  if (one_group) options.layout = sim::as_one_group(*options.layout);
  const auto prompts = sim::number_chunks(trace, block_tokens, options.chunk_tokens);
  repeated_ = sim::repeated_chunks(prompts);
  const std::uint64_t distinct = sim::distinct_chunks(prompts);
  asked_ = repeated_ + distinct;
  if (sizes_gib.empty())
    for (int i = kSizesWithoutChoice - 1; i >= 0; --i)
      sizes_gib.push_back(
          std::ldexp(static_cast<double>(distinct) * static_cast<double>(prefix_bytes()), -i) /
          kGib);
  std::sort(sizes_gib.begin(), sizes_gib.end());
  if (policies.empty()) policies = {"LRU", "LFU", "ARC", "S3FIFO", "WTINYLFU"};
  for (const double gib : sizes_gib) {
    const auto chunks = static_cast<std::uint64_t>(gib * kGib) / prefix_bytes();
    bounds_.emplace_back(gib, static_cast<double>(sim::most_hits(prompts, chunks)) /
                                  static_cast<double>(std::max(asked_, std::uint64_t{1})));
  }
}

void EvictionCommand::print_bounds() const {
  const double unlimited =
      static_cast<double>(repeated_) / static_cast<double>(std::max(asked_, std::uint64_t{1}));
  if (as_json) {
    nlohmann::ordered_json line{{"policy", "unlimited"}, {"hit_tokens", unlimited}};
    std::puts(line.dump().c_str());
    for (const auto& [gib, ratio] : bounds_) {
      nlohmann::ordered_json bound{{"policy", "bound"}, {"gib", gib}, {"hit_tokens", ratio}};
      std::puts(bound.dump().c_str());
    }
    return;
  }
  std::printf("%-12s %9s %7s %7s %10s %10s %9s %7s %6s %6s %8s %8s\n", "policy", "GiB", "tokens",
              "bytes", "evicted", "thinned", "lost", "failed", "frag", "worst", "ns/look",
              "ns/store");
  std::printf("%-12s %9s %6.2f%%\n", "unlimited", "", 100 * unlimited);
  for (const auto& [gib, ratio] : bounds_)
    std::printf("%-12s %9.3f %6.2f%%\n", "bound", gib, 100 * ratio);
}

void EvictionCommand::print(const Run& run) const {
  const sim::SimulationReport& r = run.report;
  if (as_json) {
    nlohmann::ordered_json line{{"policy", run.policy},
                                {"gib", run.gib},
                                {"hit_tokens", r.token_hit_ratio()},
                                {"hit_bytes", r.byte_hit_ratio()},
                                {"served_tokens", r.served_tokens},
                                {"asked_tokens", r.asked_tokens},
                                {"evicted_objects", r.stats.evicted_objects},
                                {"evicted_bytes", r.stats.evicted_bytes},
                                {"thinned_objects", r.stats.thinned_objects},
                                {"window_lost_chunks", r.stats.window_lost_chunks},
                                {"failed_stores", r.failed_stores},
                                {"fragmentation", r.fragmentation},
                                {"worst_fragmentation", r.worst_fragmentation},
                                {"lookup_ns", r.lookup_ns},
                                {"store_ns", r.store_ns}};
    std::puts(line.dump().c_str());
    return;
  }
  std::printf("%-12s %9.3f %6.2f%% %6.2f%% %10llu %10llu %9llu %7llu %5.1f%% %5.1f%% %8.0f %8.0f\n",
              run.policy.c_str(), run.gib, 100 * r.token_hit_ratio(), 100 * r.byte_hit_ratio(),
              static_cast<unsigned long long>(r.stats.evicted_objects),
              static_cast<unsigned long long>(r.stats.thinned_objects),
              static_cast<unsigned long long>(r.stats.window_lost_chunks),
              static_cast<unsigned long long>(r.failed_stores), 100 * r.fragmentation,
              100 * r.worst_fragmentation, r.lookup_ns, r.store_ns);
}

void EvictionCommand::draw(const std::vector<Run>& runs) const {
  std::vector<sim::Curve> curves;
  for (const std::string& policy : policies) {
    sim::Curve curve{policy, false, {}};
    for (const Run& run : runs)
      if (run.policy == policy) curve.points.emplace_back(run.gib, run.report.token_hit_ratio());
    curves.push_back(std::move(curve));
  }
  curves.push_back({"bound", true, bounds_});
  write_file(plot, sim::draw_curves("tokens served from cache, " + layout, curves));
}

void EvictionCommand::run() {
  std::ifstream in(trace_path);
  if (!in) throw std::runtime_error("cannot read '" + trace_path + "'");
  const sim::Trace trace = value_or_throw(sim::read_trace(in));
  prepare(trace);
  print_bounds();
  std::vector<Run> runs;
  for (const std::string& policy : policies)
    for (const double gib : sizes_gib) {
      options.cache.policy = policy;
      options.pool_bytes = static_cast<std::uint64_t>(gib * kGib);
      runs.push_back({policy, gib, value_or_throw(sim::simulate(trace, options))});
      print(runs.back());
      std::fflush(stdout);
    }
  if (!plot.empty()) draw(runs);
}

int fail(int code, const char* text) {
  std::fprintf(stderr, "lmcache bench: %s\n", obs::clean_text(text, 500).c_str());
  return code;
}

}  // namespace

int run_bench(const std::vector<std::string>& args) {
  CLI::App app("offline measurements", "lmcache bench");
  app.require_subcommand(1);
  TraceCommand trace;
  EvictionCommand eviction;
  CLI::App* trace_app = app.add_subcommand("trace", "write a seeded request trace");
  CLI::App* eviction_app =
      app.add_subcommand("eviction", "run eviction policies over a request trace");
  trace.add_flags(*trace_app);
  eviction.add_flags(*eviction_app);
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend()));
  } catch (const CLI::CallForHelp&) {
    const CLI::App* shown = *trace_app ? trace_app : *eviction_app ? eviction_app : &app;
    std::fputs(shown->help(shown == &app ? "" : app.get_name()).c_str(), stdout);
    return 0;
  } catch (const CLI::ParseError& error) {
    return fail(2, error.what());
  }
  try {
    if (*trace_app)
      trace.run();
    else
      eviction.run();
  } catch (const std::exception& error) {
    return fail(1, error.what());
  }
  return 0;
}

}  // namespace lmcache::app
