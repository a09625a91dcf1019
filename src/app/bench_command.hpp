// What the commands of `lmcache bench` have in common. Internal to src/app.
#pragma once

#include <lmcache/status.hpp>

#include <CLI/CLI.hpp>

#include <memory>
#include <stdexcept>
#include <utility>

namespace lmcache::app {

class BenchCommand {
 public:
  virtual ~BenchCommand() = default;
  virtual void add_flags(CLI::App& app) = 0;
  /// Exit code. Throws UsageError for what the command line should not say, and other
  /// std::exceptions for what went wrong, each with one line of text.
  virtual int run() = 0;
};

[[nodiscard]] std::unique_ptr<BenchCommand> make_bench_trace();
[[nodiscard]] std::unique_ptr<BenchCommand> make_bench_eviction();
[[nodiscard]] std::unique_ptr<BenchCommand> make_bench_server();

template <class T>
T value_or_throw(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().text);
  return std::move(*result);
}

}  // namespace lmcache::app
