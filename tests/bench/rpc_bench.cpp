// noop round trips from a libzmq DEALER: latency one at a time, throughput with 64 in flight,
// and the latter once more from a client that costs next to nothing. All
// servers named are measured in turn in every round, so that ratios of one round compare like with
// like.
#include <cstdlib>
#include <exception>
#include <memory>

#include "bench/dealer.hpp"
#include "bench/raw_load.hpp"

namespace lmcache::bench {
namespace {

constexpr int kInFlight = 64;

struct Server {
  std::string name;
  std::unique_ptr<Dealer> dealer;
  std::unique_ptr<RawLoad> load;
};

void latency(Server& server, int trips, Results& results) {
  std::vector<double> samples;
  samples.reserve(static_cast<std::size_t>(trips));
  for (int i = 0; i < trips; ++i) {
    const auto begin = Clock::now();
    server.dealer->call(wire::Op::kNoop, {});
    samples.push_back(seconds_since(begin) * 1e6);
  }
  results.add(server.name + ".noop_p50_us", percentile(samples, 0.50));
  results.add(server.name + ".noop_p99_us", percentile(samples, 0.99));
}

/// As little work as libzmq allows on this side: the server is what is measured.
void throughput(Server& server, int trips, Results& results) {
  const auto begin = Clock::now();
  for (int i = 0; i < kInFlight; ++i) server.dealer->send_noop();
  for (int i = kInFlight; i < trips; ++i) {
    server.dealer->drop_reply();
    server.dealer->send_noop();
  }
  for (int i = 0; i < kInFlight; ++i) server.dealer->drop_reply();
  results.add(server.name + ".noop_per_s", trips / seconds_since(begin));
}

void capacity(Server& server, int trips, Results& results) {
  const auto begin = Clock::now();
  server.load->noops(trips, kInFlight);
  results.add(server.name + ".bare_noop_per_s", trips / seconds_since(begin));
}

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: rpc_bench ROUNDS TRIPS NAME=URL...\n");
    return 2;
  }
  const int rounds = std::atoi(argv[1]), trips = std::max(kInFlight, std::atoi(argv[2]));
  std::vector<Server> servers;
  for (int i = 3; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto equals = argument.find('=');
    const std::string url = argument.substr(equals + 1);
    servers.push_back({argument.substr(0, equals), std::make_unique<Dealer>(url),
                       std::make_unique<RawLoad>(url)});
  }
  Results results, warm_up;
  for (auto& server : servers) latency(server, trips / 4, warm_up);
  for (int round = 0; round < rounds; ++round) {
    for (auto& server : servers) latency(server, trips, results);
    for (auto& server : servers) throughput(server, 5 * trips, results);
    for (auto& server : servers) capacity(server, 5 * trips, results);
  }
  results.print();
  return 0;
}

}  // namespace
}  // namespace lmcache::bench

int main(int argc, char** argv) try {
  return lmcache::bench::run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "rpc_bench: %s\n", error.what());
  return 1;
}
