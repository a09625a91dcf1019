// What routes look at. Everything in it outlives the HTTP server.
#pragma once

#include "engine/engine.hpp"
#include "net/server.hpp"

#include <lmcache/config.hpp>

#include <atomic>

namespace lmcache::admin {

/// Where the server is in its life; set by whoever starts and stops it. Any thread.
enum class Phase : std::uint8_t { kStarting, kServing, kStopping };

struct Context {
  const ServerConfig& config;
  engine::Engine& engine;
  const net::Server& server;
  const std::atomic<Phase>& phase;
};

}  // namespace lmcache::admin
