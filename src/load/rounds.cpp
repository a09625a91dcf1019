#include "load/rounds.hpp"

#include "load/statistics.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <mutex>
#include <numeric>
#include <random>

namespace lmcache::load {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kNoops = 64, kLookups = 8;  // of a worker in a round

double seconds_between(Clock::time_point begin, Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

WorkerOptions worker_options(const LoadOptions& options) {
  WorkerOptions out;
  out.urls = options.urls;
  out.make = options.make;
  out.make_tensors = options.make_tensors;
  out.model = options.model;
  out.patience = options.patience;
  out.stop = options.stop;
  for (const std::string& url : options.urls) {
    Client client(url, options.patience, options.stop);
    const std::uint32_t tokens = chunk_tokens_of(client);
    if (out.chunk_tokens != 0 && tokens != out.chunk_tokens)
      throw std::runtime_error(
          "the servers' chunk sizes differ: " + std::to_string(out.chunk_tokens) + " and " +
          std::to_string(tokens) + "; start them with the same --chunk-size");
    out.chunk_tokens = tokens;
  }
  if (options.tokens % out.chunk_tokens != 0)
    throw std::runtime_error("--tokens " + std::to_string(options.tokens) +
                             " is not a multiple of the server's chunk size, " +
                             std::to_string(out.chunk_tokens));
  out.chunks = options.tokens / out.chunk_tokens;
  return out;
}

class Load {
 public:
  explicit Load(const LoadOptions& options) : options_(options) {
    std::random_device random;
    const std::uint64_t run = std::uint64_t{random()} << 32 | random();
    const WorkerOptions common = worker_options(options);
    for (unsigned i = 0; i < options.concurrency; ++i)
      workers_.push_back(std::make_unique<Worker>(common, run + i));
    for (const std::string& url : options.urls) result_.servers.emplace_back().url = url;
  }

  /// Workers say good-bye all at once: a server that has fallen silent costs each its patience.
  ~Load() {
    std::vector<std::future<void>> leaving;
    for (auto& worker : workers_)
      leaving.push_back(std::async(std::launch::async, [&worker] { worker.reset(); }));
  }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  LoadResult run() {
    try {
      both_servers(0);
      counting_ = true;  // connections are made, memory has been touched
      const auto begin = Clock::now();
      while (result_.rounds < options_.rounds &&
             (options_.seconds <= 0 || seconds_between(begin, Clock::now()) < options_.seconds)) {
        both_servers(result_.rounds);
        options_.progress(++result_.rounds);
      }
    } catch (const Interrupted&) {
      result_.interrupted = true;
    }
    return std::move(result_);
  }

 private:
  /// The one that goes first changes, so that neither always finds the caches as the other left
  /// them.
  void both_servers(unsigned number) {
    const std::size_t servers = options_.urls.size();
    for (std::size_t i = 0; i < servers; ++i) round((i + number) % servers);
  }

  void round(std::size_t server) {
    if (options_.clear) workers_.front()->clear(server);
    each_worker([](Worker& worker) { worker.begin_sequence(); });
    // A server may leave windowed state out that nothing will need. Counting no more than a hit
    // needs never tells of more than was moved.
    const std::uint64_t bytes = workers_.front()->memory().retrieved_bytes();
    timed(server, Operation::kNoop, kNoops, 0, &Worker::noop);
    timed(server, Operation::kStore, 1, bytes, &Worker::store);
    each_worker([&](Worker& worker) { worker.await_visible(server); });
    timed(server, Operation::kLookup, kLookups, 0, &Worker::look_up);
    each_worker([&](Worker& worker) {
      worker.release_lookups(server, 1);
      worker.wipe();
    });
    timed(server, Operation::kRetrieve, 1, bytes, &Worker::retrieve);
    check(server);
  }

  void check(std::size_t server) {
    std::atomic<std::uint64_t> bad{0};
    each_worker([&](Worker& worker) {
      worker.end_sequence(server);
      bad += worker.bad_blocks();
    });
    ServerTimes& times = result_.servers[server];
    times.bad_blocks += bad;
    times.checked_blocks += workers_.size() * workers_.front()->memory().retrieved_blocks();
  }

  /// All workers at once, each on a thread of its own; the first failure, once all have ended.
  template <class Do>
  void each_worker(Do does) {
    std::vector<std::future<void>> running;
    for (const auto& worker : workers_)
      running.push_back(std::async(std::launch::async, [&does, &worker] { does(*worker); }));
    for (const auto& one : running) one.wait();
    for (auto& one : running) one.get();
  }

  void timed(std::size_t server, Operation operation, unsigned requests, std::uint64_t bytes,
             void (Worker::*ask)(std::size_t)) {
    struct Times {
      Clock::time_point begin, end;
      std::vector<double> latencies;
    };
    std::mutex mutex;
    std::vector<Times> all;
    each_worker([&](Worker& worker) {
      Times times;
      times.begin = times.end = Clock::now();
      for (unsigned i = 0; i < requests; ++i) {
        const auto begin = times.end;
        (worker.*ask)(server);
        times.end = Clock::now();
        times.latencies.push_back(seconds_between(begin, times.end));
      }
      const std::lock_guard lock(mutex);
      all.push_back(std::move(times));
    });
    if (!counting_) return;
    OperationTimes& out = result_.servers[server].operations[static_cast<std::size_t>(operation)];
    for (const Times& times : all)
      out.latencies.insert(out.latencies.end(), times.latencies.begin(), times.latencies.end());
    out.round_seconds.push_back(seconds_between(std::ranges::min(all, {}, &Times::begin).begin,
                                                std::ranges::max(all, {}, &Times::end).end));
    out.bytes += bytes * requests * workers_.size();
  }

  const LoadOptions& options_;
  LoadResult result_;
  bool counting_ = false;  ///< times; bytes are always checked
  std::vector<std::unique_ptr<Worker>> workers_;
};

double total(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

double OperationTimes::requests_per_second() const {
  const double seconds = total(round_seconds);
  return seconds > 0 ? static_cast<double>(latencies.size()) / seconds : 0;
}

double OperationTimes::gb_per_second() const {
  const double seconds = total(round_seconds);
  return seconds > 0 ? static_cast<double>(bytes) / 1e9 / seconds : 0;
}

double speed_ratio(const OperationTimes& first, const OperationTimes& second) {
  std::vector<double> ratios;
  const std::size_t rounds = std::min(first.round_seconds.size(), second.round_seconds.size());
  for (std::size_t i = 0; i < rounds; ++i)
    ratios.push_back(second.round_seconds[i] / first.round_seconds[i]);
  return median_of(std::move(ratios));
}

LoadResult run_load(const LoadOptions& options) {
  return Load(options).run();
}

}  // namespace lmcache::load
