// `lmcache bench eviction`: eviction policies over a request trace.
#include "app/bench_command.hpp"
#include "sim/bound.hpp"
#include "sim/generate.hpp"
#include "sim/model_layout.hpp"
#include "sim/plot.hpp"
#include "sim/simulate.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace lmcache::app {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
constexpr int kSizesWithoutChoice = 7;  ///< the whole, its half, ... its 64th

void write_file(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  out.close();
  if (!out) throw std::runtime_error("cannot write '" + path + "'");
}

class EvictionCommand final : public BenchCommand {
 public:
  void add_flags(CLI::App& app) override {
    app.add_option("--trace", trace_path_, "JSON lines as of Mooncake, or from `bench trace`")
        ->required();
    app.add_option("--l1-size-gb", sizes_gib_,
                   "pool sizes in GiB, comma separated; without, from a 64th of what the trace "
                   "stores to all of it")
        ->delimiter(',')
        ->check(CLI::Range(0.001, 1e6));
    app.add_option("--policy", policies_, "policies, comma separated; without, all")
        ->delimiter(',');
    app.add_option("--layout", layout_, std::string(sim::model_layout_names()))
        ->capture_default_str();
    app.add_flag("--one-group", one_group_, "no windows: every object is needed for every hit");
    app.add_option("--trace-block-tokens", block_tokens_, "tokens of a block of the trace")
        ->check(CLI::Range(1u, 1u << 20))
        ->capture_default_str();
    app.add_option("--step-chunks", options_.step_chunks, "chunks an engine stores at a time")
        ->check(CLI::Range(1u, 1u << 20))
        ->capture_default_str();
    app.add_option("--eviction-trigger-watermark", options_.cache.trigger_watermark,
                   "share of L1 in use at which background eviction starts; 1: never")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--eviction-ratio", options_.cache.eviction_ratio,
                   "share of the watermark's bytes that background eviction frees")
        ->check(CLI::Range(0.0, 1.0))
        ->capture_default_str();
    app.add_option("--window-checkpoint-chunks", options_.cache.window_checkpoint_chunks,
                   "inside a stored range keep windowed state of every Nth chunk only")
        ->check(CLI::Range(1u, 1'000'000u))
        ->capture_default_str();
    app.add_flag("--json", as_json_, "one JSON object a line instead of the table");
    app.add_option("--plot", plot_, "SVG file to draw hit ratio over pool size into");
  }

  int run() override;

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

  std::string trace_path_, layout_ = "dense", plot_;
  std::vector<std::string> policies_;
  std::vector<double> sizes_gib_;
  std::uint32_t block_tokens_ = sim::kTraceBlockTokens;
  bool one_group_ = false, as_json_ = false;
  sim::SimulationOptions options_;
  std::uint64_t asked_ = 0, repeated_ = 0;         ///< chunks
  std::vector<std::pair<double, double>> bounds_;  ///< (GiB, hit ratio)
};

/// Pool bytes of a chunk that every longer hit needs: what the bound counts.
std::uint64_t EvictionCommand::prefix_bytes() const {
  std::uint64_t bytes = 0;
  const std::uint64_t align = options_.cache.align_bytes;
  for (const ObjectLayout::Group& group : options_.layout->groups)
    if (group.window_chunks <= 0) bytes += (group.bytes + align - 1) / align * align;
  return bytes;
}

void EvictionCommand::prepare(const sim::Trace& trace) {
  options_.block_tokens = block_tokens_;
  options_.chunk_tokens = sim::kModelChunkTokens;
  options_.layout = value_or_throw(sim::model_layout(layout_));
  if (one_group_) options_.layout = sim::as_one_group(*options_.layout);
  const auto prompts = sim::number_chunks(trace, block_tokens_, options_.chunk_tokens);
  repeated_ = sim::repeated_chunks(prompts);
  const std::uint64_t distinct = sim::distinct_chunks(prompts);
  asked_ = repeated_ + distinct;
  if (sizes_gib_.empty())
    for (int i = kSizesWithoutChoice - 1; i >= 0; --i)
      sizes_gib_.push_back(
          std::ldexp(static_cast<double>(distinct) * static_cast<double>(prefix_bytes()), -i) /
          kGib);
  std::sort(sizes_gib_.begin(), sizes_gib_.end());
  if (policies_.empty()) policies_ = {"LRU", "LFU", "ARC", "S3FIFO", "WTINYLFU", "GITTINS"};
  for (const double gib : sizes_gib_) {
    const auto chunks = static_cast<std::uint64_t>(gib * kGib) / prefix_bytes();
    bounds_.emplace_back(gib, static_cast<double>(sim::most_hits(prompts, chunks)) /
                                  static_cast<double>(std::max(asked_, std::uint64_t{1})));
  }
}

void EvictionCommand::print_bounds() const {
  const double unlimited =
      static_cast<double>(repeated_) / static_cast<double>(std::max(asked_, std::uint64_t{1}));
  if (as_json_) {
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
  if (as_json_) {
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
  for (const std::string& policy : policies_) {
    sim::Curve curve{policy, false, {}};
    for (const Run& run : runs)
      if (run.policy == policy) curve.points.emplace_back(run.gib, run.report.token_hit_ratio());
    curves.push_back(std::move(curve));
  }
  curves.push_back({"bound", true, bounds_});
  write_file(plot_, sim::draw_curves("tokens served from cache, " + layout_, curves));
}

int EvictionCommand::run() {
  std::ifstream in(trace_path_);
  if (!in) throw std::runtime_error("cannot read '" + trace_path_ + "'");
  const sim::Trace trace = value_or_throw(sim::read_trace(in));
  prepare(trace);
  print_bounds();
  std::vector<Run> runs;
  for (const std::string& policy : policies_)
    for (const double gib : sizes_gib_) {
      options_.cache.policy = policy;
      options_.pool_bytes = static_cast<std::uint64_t>(gib * kGib);
      runs.push_back({policy, gib, value_or_throw(sim::simulate(trace, options_))});
      print(runs.back());
      std::fflush(stdout);
    }
  if (!plot_.empty()) draw(runs);
  return 0;
}

}  // namespace

std::unique_ptr<BenchCommand> make_bench_eviction() {
  return std::make_unique<EvictionCommand>();
}

}  // namespace lmcache::app
