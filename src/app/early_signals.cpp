#include "app/early_signals.hpp"

#include "obs/log.hpp"

#include <unistd.h>
#include <csignal>
#include <cstdlib>

namespace lmcache::app {
namespace {

// Destructors would race with whatever start-up is in the middle of.
void exit_at_once(int /*signal*/) {
  obs::finish_log();
  ::_exit(EXIT_SUCCESS);
}

void mask_hangups(int how) noexcept {
  sigset_t hangup;
  sigemptyset(&hangup);
  sigaddset(&hangup, SIGHUP);
  pthread_sigmask(how, &hangup, nullptr);
}

}  // namespace

void obey_early_signals() noexcept {
  struct sigaction action {};
  action.sa_handler = exit_at_once;
  sigfillset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  mask_hangups(SIG_BLOCK);
}

void admit_hangups() noexcept {
  mask_hangups(SIG_UNBLOCK);
}

}  // namespace lmcache::app
