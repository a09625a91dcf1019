#include "commands/stop_signals.hpp"

#include <array>
#include <ctime>

namespace lmcache::commands {
namespace {

constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP};

}  // namespace

StopSignals::StopSignals() {
  sigemptyset(&signals_);
  for (const int signal : kSignals) sigaddset(&signals_, signal);
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
}

StopSignals::~StopSignals() {
  while (pending()) (void)wait_for(std::chrono::seconds(0));
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

bool StopSignals::pending() const noexcept {
  sigset_t waiting;
  sigemptyset(&waiting);
  sigpending(&waiting);
  for (const int signal : kSignals)
    if (sigismember(&waiting, signal) == 1) return true;
  return false;
}

bool StopSignals::wait_for(std::chrono::duration<double> time) const {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(time);
  const std::chrono::nanoseconds rest =
      std::chrono::duration_cast<std::chrono::nanoseconds>(time - whole);
  const timespec limit{whole.count(), rest.count()};
  return sigtimedwait(&signals_, nullptr, &limit) > 0;
}

}  // namespace lmcache::commands
