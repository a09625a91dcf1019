// `lmcache bench server`: the command line of the load generator, its progress and its report.
#include "app/bench_command.hpp"
#include "app/cli.hpp"
#include "commands/human.hpp"
#include "commands/stop_signals.hpp"
#include "load/rounds.hpp"
#include "load/statistics.hpp"

#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>

namespace lmcache::app {
namespace {

using commands::duration_text;
using commands::format;
using Json = nlohmann::ordered_json;

/// A line on stderr that is drawn over, where that is a terminal.
class ProgressBar {
 public:
  explicit ProgressBar(unsigned rounds) : rounds_(rounds), shown_(::isatty(STDERR_FILENO) == 1) {
    show(0);
  }
  ~ProgressBar() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
  }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(unsigned done) const {
    constexpr unsigned kWidth = 40;
    if (!shown_) return;
    std::string bar(std::size_t{kWidth} * done / rounds_, '#');
    bar.resize(kWidth, '.');
    std::fprintf(stderr, "\r[%s] round %u of %u", bar.c_str(), done, rounds_);
  }

 private:
  unsigned rounds_;
  bool shown_;
};

Json as_json(const load::ServerTimes& server) {
  Json operations = Json::object();
  for (std::size_t i = 0; i < server.operations.size(); ++i) {
    const load::OperationTimes& times = server.operations[i];
    const load::Percentiles seconds = load::percentiles_of(times.latencies);
    operations[std::string(load::kOperationNames[i])] = {
        {"requests", times.latencies.size()},
        {"requests_per_second", times.requests_per_second()},
        {"gb_per_second", times.bytes > 0 ? Json(times.gb_per_second()) : Json()},
        {"p50_seconds", seconds.p50},
        {"p90_seconds", seconds.p90},
        {"p99_seconds", seconds.p99},
        {"max_seconds", seconds.max}};
  }
  return {{"url", server.url},
          {"operations", std::move(operations)},
          {"checked_blocks", server.checked_blocks},
          {"bad_blocks", server.bad_blocks}};
}

void print_table(const load::ServerTimes& server) {
  std::printf("%s\n%-10s %9s %11s %9s %9s %9s %9s %7s\n", server.url.c_str(), "operation",
              "requests", "per second", "p50", "p90", "p99", "max", "GB/s");
  for (std::size_t i = 0; i < server.operations.size(); ++i) {
    const load::OperationTimes& times = server.operations[i];
    const load::Percentiles seconds = load::percentiles_of(times.latencies);
    std::printf("%-10s %9zu %11.1f %9s %9s %9s %9s %7s\n",
                std::string(load::kOperationNames[i]).c_str(), times.latencies.size(),
                times.requests_per_second(), duration_text(seconds.p50).c_str(),
                duration_text(seconds.p90).c_str(), duration_text(seconds.p99).c_str(),
                duration_text(seconds.max).c_str(),
                times.bytes > 0 ? format("%.2f", times.gb_per_second()).c_str() : "");
  }
  std::printf("blocks compared %llu, bad %llu\n\n",
              static_cast<unsigned long long>(server.checked_blocks),
              static_cast<unsigned long long>(server.bad_blocks));
}

class ServerCommand final : public BenchCommand {
 public:
  void add_flags(CLI::App& app) override {
    app.add_option("urls", options_.urls,
                   "tcp://HOST:PORT or ipc://PATH, one or two (default tcp://localhost:5555)")
        ->expected(0, 2)
        ->check([](const std::string& url) { return load::url_error(url); });
    app.add_option("--layout", layout_, "what to register: dense or deepseek-v4-flash")
        ->capture_default_str();
    app.add_option("--device", device_,
                   "where the tensors are: cpu, in /dev/shm, or cuda, on the first GPU that "
                   "CUDA_VISIBLE_DEVICES leaves")
        ->check(CLI::IsMember({"cpu", "cuda"}))
        ->capture_default_str();
    app.add_option("--concurrency", options_.concurrency, "workers at the same time")
        ->check(CLI::Range(1u, 256u))
        ->capture_default_str();
    app.add_option("--tokens", options_.tokens, "of a sequence; whole chunks")
        ->check(CLI::Range(1u, 1u << 20))
        ->capture_default_str();
    app.add_option("--requests", options_.rounds,
                   "stores of each worker at each server, and as many retrieves; 64 noops and 8 "
                   "lookups go with each")
        ->check(CLI::Range(1u, 1'000'000u))
        ->capture_default_str();
    app.add_option("--seconds", options_.seconds, "begin nothing new after so long; 0: no limit")
        ->check(CLI::Range(0.0, 1e6))
        ->capture_default_str();
    app.add_option("--timeout-seconds", timeout_seconds_, "time to wait for an answer")
        ->check(CLI::Range(0.1, 3600.0))
        ->capture_default_str();
    app.add_flag("--clear", options_.clear,
                 "empty the server's cache before each round: for servers that make no room within "
                 "a store");
    app.add_option("--format", format_, "terminal or json")
        ->check(CLI::IsMember({"terminal", "json"}))
        ->capture_default_str();
  }

  int run() override {
    const auto make = geometry::model_registration(layout_);
    if (!make) throw UsageError("--layout: " + make.error().text);
    options_.make = *make;
    options_.model = "lmcache-bench-" + layout_;
    if (options_.urls.empty()) options_.urls = {"tcp://localhost:5555"};
    options_.patience =
        std::chrono::milliseconds(static_cast<std::int64_t>(timeout_seconds_ * 1000));
    const load::LoadResult result = measure();
    format_ == "json" ? print_json(result) : print(result);
    for (const load::ServerTimes& server : result.servers)
      if (server.bad_blocks > 0)
        throw std::runtime_error(server.url + ": " + std::to_string(server.bad_blocks) +
                                 " blocks came back with other bytes than were stored");
    if (result.interrupted)
      throw std::runtime_error("interrupted after " + std::to_string(result.rounds) + " of " +
                               std::to_string(options_.rounds) + " rounds");
    return 0;
  }

 private:
  load::LoadResult measure() {
    const commands::StopSignals signals;  // before CUDA starts threads
    if (device_ == "cuda") options_.make_tensors = load::cuda_tensors();
    if (options_.make_tensors == nullptr)
      throw UsageError(
          "--device cuda: this program was built without CUDA; take one that was built where there "
          "is a CUDA compiler, or --device cpu");
    const ProgressBar bar(options_.rounds);
    options_.stop = [&signals] { return signals.pending(); };
    options_.progress = [&bar](unsigned rounds) { bar.show(rounds); };
    return load::run_load(options_);
  }

  void print_json(const load::LoadResult& result) const {
    Json report{{"layout", layout_},
                {"device", device_},
                {"concurrency", options_.concurrency},
                {"tokens", options_.tokens},
                {"rounds", result.rounds},
                {"servers", Json::array()}};
    for (const load::ServerTimes& server : result.servers)
      report["servers"].push_back(as_json(server));
    if (result.servers.size() == 2) {
      Json ratios = Json::object();
      for (std::size_t i = 0; i < load::kOperationNames.size(); ++i)
        ratios[std::string(load::kOperationNames[i])] = ratio(result, i);
      report["speed_ratio"] = std::move(ratios);
    }
    std::puts(report.dump(2).c_str());
  }

  static double ratio(const load::LoadResult& result, std::size_t operation) {
    return load::speed_ratio(result.servers[0].operations[operation],
                             result.servers[1].operations[operation]);
  }

  void print(const load::LoadResult& result) const {
    std::printf("%s, %s, sequences of %u tokens, concurrency %u, %u rounds\n\n", layout_.c_str(),
                device_.c_str(), options_.tokens, options_.concurrency, result.rounds);
    for (const load::ServerTimes& server : result.servers) print_table(server);
    if (result.servers.size() != 2) return;
    std::printf("the first is so many times as fast as the second (median of rounds):\n");
    for (std::size_t i = 0; i < load::kOperationNames.size(); ++i)
      std::printf("%-10s %9.2f\n", std::string(load::kOperationNames[i]).c_str(), ratio(result, i));
  }

  load::LoadOptions options_;
  std::string layout_ = "dense", device_ = "cpu", format_ = "terminal";
  double timeout_seconds_ = 30;
};

}  // namespace

std::unique_ptr<BenchCommand> make_bench_server() {
  return std::make_unique<ServerCommand>();
}

}  // namespace lmcache::app
