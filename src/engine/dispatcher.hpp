// Where messages become requests. Runs on I/O threads: splits off uid and operation, answers at
// once what needs no work (noop, ping, chunk size, everything this server does not serve), and
// hands the rest to the connection's channel.
#pragma once

#include "engine/engine.hpp"
#include "net/handler.hpp"
#include "obs/rate_limit.hpp"

#include <memory>
#include <mutex>
#include <string>

namespace lmcache::engine {

class Dispatcher final : public net::Handler {
 public:
  explicit Dispatcher(Engine& engine) : engine_(engine) {}

  [[nodiscard]] std::unique_ptr<net::Connection> opened(net::PeerId peer,
                                                        const std::string& name) override;
  void dropped(const std::string& name, const std::string& reason) override;

 private:
  Engine& engine_;
  std::mutex mutex_;  // guards drops_
  obs::RateLimit drops_{std::chrono::seconds{1}};
};

}  // namespace lmcache::engine
