// `lmcache bench trace`: writes a seeded request trace.
#include "app/bench_command.hpp"
#include "sim/generate.hpp"

#include <fstream>
#include <iostream>

namespace lmcache::app {
namespace {

class TraceCommand final : public BenchCommand {
 public:
  void add_flags(CLI::App& app) override {
    app.add_option("--workload", workload_, std::string(sim::workload_names()))
        ->capture_default_str();
    app.add_option("--seed", options_.seed, "equal seeds give equal traces")->capture_default_str();
    app.add_option("--requests", options_.requests, "length of the trace")
        ->check(CLI::Range(1u, 100'000'000u))
        ->capture_default_str();
    app.add_option("--active", options_.active, "conversations, tasks or documents at a time")
        ->check(CLI::Range(1u, 10'000'000u))
        ->capture_default_str();
    app.add_option("--tenants", options_.tenants, "with several, each request has a cache_salt")
        ->check(CLI::Range(1u, 1'000'000u))
        ->capture_default_str();
    app.add_option("--pause-seconds", pause_seconds_,
                   "the shortest pause between a source's requests")
        ->check(CLI::Range(1u, 86'400u))
        ->capture_default_str();
    app.add_option("--pause-doublings", options_.pause_doublings,
                   "pauses up to so many doublings of that, each as likely as the next")
        ->check(CLI::Range(1u, sim::kMostPauseDoublings))
        ->capture_default_str();
    app.add_option("--out", out_, "file to write; stdout without");
  }

  int run() override {
    options_.workload = workload_;
    options_.pause_ms = pause_seconds_ * 1000;
    const sim::Trace trace = value_or_throw(sim::generate_trace(options_));
    if (out_.empty()) {
      sim::write_trace(std::cout, trace);
      return 0;
    }
    std::ofstream file(out_, std::ios::binary);
    sim::write_trace(file, trace);
    file.close();
    if (!file) throw std::runtime_error("cannot write '" + out_ + "'");
    return 0;
  }

 private:
  sim::TraceOptions options_;
  std::string workload_ = "chat", out_;
  std::uint32_t pause_seconds_ = 1;
};

}  // namespace

std::unique_ptr<BenchCommand> make_bench_trace() {
  return std::make_unique<TraceCommand>();
}

}  // namespace lmcache::app
