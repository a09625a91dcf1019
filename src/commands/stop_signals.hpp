// Ctrl-C for programs that have something to tidy up: while one of these exists, SIGINT, SIGTERM
// and SIGHUP wait to be asked for instead of ending the process. Made by the main thread before
// others start, which then inherit it.
#pragma once

#include <csignal>

#include <chrono>

namespace lmcache::commands {

class StopSignals {
 public:
  StopSignals();
  /// A signal that has arrived is used up.
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Whether one has arrived. Any thread.
  [[nodiscard]] bool pending() const noexcept;
  /// Waits until one arrives, at most so long; whether one has.
  [[nodiscard]] bool wait_for(std::chrono::duration<double> time) const;

 private:
  sigset_t signals_{}, before_{};
};

}  // namespace lmcache::commands
