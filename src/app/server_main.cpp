#include "app/server_main.hpp"

#include "admin/health.hpp"
#include "admin/routes.hpp"
#include "admin/server.hpp"
#include "app/cli.hpp"
#include "app/early_signals.hpp"
#include "app/service_manager.hpp"
#include "engine/dispatcher.hpp"
#include "engine/engine.hpp"
#include "net/server.hpp"
#include "obs/counters.hpp"
#include "obs/log.hpp"
#include "obs/pulse.hpp"
#include "pool/arena.hpp"
#include "pool/memory_lock.hpp"

#include <lmcache/version.hpp>

#include <sys/resource.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace lmcache::app {
namespace {

using obs::Level;

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;

void require(const Status& status) {
  if (!status) throw std::runtime_error(status.error().text);
}

// Each connection is a file descriptor; the soft limit of many shells is below what max_connections
// promises.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    obs::log_event(Level::kWarn, "the limit of open files stays where it is");
}

pool::Arena map_l1(const ServerConfig& config) {
  auto arena = pool::Arena::create(
      static_cast<std::uint64_t>(std::llround(config.l1_size_gb * kGib)), pool::memory_limit(),
      config.l1_use_hugepages ? pool::Arena::Pages::kHuge : pool::Arena::Pages::kUsual);
  if (!arena) throw std::runtime_error(arena.error().text);
  if (config.l1_lock_memory) require(pool::lock_memory(arena->memory()));
  return std::move(*arena);
}

void announce(const ServerConfig& config, const net::Server& server,
              const admin::HttpServer& http) {
  obs::log_event(Level::kInfo, "lmcache server starts",
                 {{"version", kVersion},
                  {"instance_id", config.instance_id},
                  {"l1_gib", config.l1_size_gb},
                  {"eviction_policy", config.eviction_policy},
                  {"chunk_size", config.chunk_size}});
  if (!config.request_socket.empty())
    obs::log_event(Level::kInfo, "listening on a unix socket", {{"path", config.request_socket}});
  if (http.port() != 0)
    obs::log_event(Level::kInfo, "admin HTTP", {{"host", config.http_host}, {"port", http.port()}});
  if (config.http && !config.http_socket.empty())
    obs::log_event(Level::kInfo, "admin HTTP on a unix socket", {{"path", config.http_socket}});
  // Scripts written for the Python server wait for this very line.
  if (config.tcp) {
    obs::log_event(Level::kInfo, "LMCache zmq cache server is running on " + config.host + ":" +
                                     std::to_string(server.port()));
  }
}

void log_failures() {
  for (const auto& failure : obs::failure_counts()) {
    obs::log_every_event(Level::kInfo, "requests failed",
                         {{"operation", failure.operation},
                          {"cause", to_string(failure.cause)},
                          {"count", failure.count}});
  }
}

/// A token that cannot be used is a setting that is not taken, like those of the command line.
admin::HttpOptions http_options(const ServerConfig& config) {
  auto options = admin::HttpOptions::from(config);
  if (!options) throw UsageError(options.error().text);
  return std::move(*options);
}

/// The admin server of a running daemon, with what its routes look at.
class Admin {
 public:
  Admin(const ServerConfig& config, admin::HttpOptions options, engine::Engine& engine,
        const net::Server& server)
      : context_{config, engine, server, phase_},
        http_(std::move(options), admin::all_routes(context_)) {}

  void start(std::vector<net::ListeningSocket> passed) {
    if (context_.config.http) require(http_.start(std::move(passed)));
  }
  void enter(admin::Phase phase) noexcept { phase_ = phase; }
  [[nodiscard]] const admin::HttpServer& http() const noexcept { return http_; }

 private:
  std::atomic<admin::Phase> phase_{admin::Phase::kStarting};
  admin::Context context_;
  admin::HttpServer http_;
};

/// What `systemctl status` shows.
std::string status_line(const ServerConfig& config, const net::Server& server,
                        const engine::Engine& engine) {
  const engine::Figures figures = engine.figures();
  const auto percent =
      100 * figures.cache.used_bytes / std::max<std::uint64_t>(1, figures.cache.total_bytes);
  return "serving on " +
         (config.tcp ? config.host + ":" + std::to_string(server.port()) : config.request_socket) +
         ", L1 of " + std::to_string(figures.cache.total_bytes >> 20) + " MiB " +
         std::to_string(percent) + "% full, " + std::to_string(figures.workers) + " workers";
}

/// The signals the server answers, from take_over() to its end; those that come before the loop
/// runs wait for it.
struct Signals {
  boost::asio::io_context loop;
  boost::asio::signal_set stops{loop}, hangups{loop};

  void take_over() {
    stops.add(SIGINT);
    stops.add(SIGTERM);
    hangups.add(SIGHUP);
    admit_hangups();
  }
};

/// SIGHUP: whoever rotates the log has moved it away.
void reopen_log_on(boost::asio::signal_set& hangups) {
  hangups.async_wait([&hangups](const boost::system::error_code& cancelled, int) {
    if (cancelled) return;
    if (obs::log_options().file.empty()) {
      obs::log_event(Level::kInfo, "SIGHUP: there is no --log-file to open anew");
    } else if (const Status opened = obs::reopen_log(); opened) {
      obs::log_event(Level::kInfo, "log opened anew");
    } else {
      obs::log_event(Level::kError, "log not opened anew", {{"reason", opened.error().text}});
    }
    reopen_log_on(hangups);
  });
}

/// Says that the server is up, waits for SIGINT or SIGTERM, then drains; a second signal stops at
/// once. True if everything in flight was answered.
bool serve_until_signal(Signals& signals, net::Server& server, Admin& admin,
                        const engine::Engine& engine, const ServerConfig& config) {
  const auto deadline = config.shutdown_timeout;
  obs::Pulse pulse("main loop");
  reopen_log_on(signals.hangups);
  ServiceManager manager(signals.loop, {[&] { return status_line(config, server, engine); },
                                        [] { return !admin::illness(obs::vitals()).has_value(); }});
  bool drained = false;
  std::thread drainer;
  const auto second = [&](const boost::system::error_code& error, int) {
    if (error) return;
    obs::log_event(Level::kWarn, "second signal: stopping at once");
    server.stop();
  };
  const auto first = [&](const boost::system::error_code& error, int) {
    if (error) return;
    admin.enter(admin::Phase::kStopping);
    manager.stopping();
    obs::log_event(Level::kInfo, "stopping: requests in flight are finished",
                   {{"deadline_ms", deadline.count()}});
    drainer = std::thread([&] {
      drained = server.drain(std::chrono::steady_clock::now() + deadline);
      signals.loop.stop();
    });
    signals.stops.async_wait(second);
  };
  signals.stops.async_wait(first);
  admin.enter(admin::Phase::kServing);
  announce(config, server, admin.http());  // only now: whoever waits for the line may signal next
  manager.ready();
  obs::run_beating(signals.loop, pulse);
  if (drainer.joinable()) drainer.join();
  return drained;
}

}  // namespace

int run_server(const ServerConfig& config, PassedSockets passed) {
  Signals signals;
  admin::HttpOptions http = http_options(config);
  raise_descriptor_limit();
  const pool::Arena arena = map_l1(config);
  engine::Engine engine(config, arena.memory());
  engine::Dispatcher dispatcher(engine);
  net::Server server(net::NetOptions::from(config), dispatcher);
  Admin admin(config, std::move(http), engine, server);
  signals.take_over();  // a socket's file must not stay behind
  require(server.start(std::move(passed.request)));
  admin.start(std::move(passed.http));
  const bool drained = serve_until_signal(signals, server, admin, engine, config);
  server.stop();
  log_failures();
  obs::log_event(drained ? Level::kInfo : Level::kWarn,
                 drained ? "stopped" : "stopped with requests unanswered");
  return drained ? 0 : 1;
}

}  // namespace lmcache::app
