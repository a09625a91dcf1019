#include "copy/guarded.hpp"

#include "copy/move.hpp"

#include <atomic>
#include <csetjmp>
#include <csignal>
#include <mutex>

namespace lmcache::copy {
namespace {

// Where the running copy of this thread resumes; nullptr outside of one. Read by the handler on the
// same thread.
thread_local sigjmp_buf* volatile resume_at = nullptr;

struct sigaction previous_action {};

void pass_on(int signal, siginfo_t* info, void* context) {
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr) {
    previous_action.sa_sigaction(signal, info, context);
    return;
  }
  if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
    return;
  }
  // Nobody to ask: with the default action back, returning repeats the access and ends the process
  // with a core. A SIGBUS that another process sent is not repeated by itself.
  struct sigaction fallback {};
  fallback.sa_handler = SIG_DFL;
  ::sigaction(signal, &fallback, nullptr);
  if (info->si_code <= 0) ::raise(signal);
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  // si_code > 0: raised by the kernel for the instruction at hand, not sent with kill().
  if (info->si_code > 0 && resume_at != nullptr) siglongjmp(*resume_at, 1);
  pass_on(signal, info, context);
}

/// Nothing here has a destructor: siglongjmp skips them.
bool move_or_jump(const Run* runs, std::size_t count, Direction direction) noexcept {
  sigjmp_buf here;
  // With the signal mask: whoever calls our handler (a handler before us, a sanitizer) may have
  // blocked signals, and a second SIGBUS of this thread would then be fatal. One system call per
  // piece of megabytes.
  if (sigsetjmp(here, 1) != 0) {
    resume_at = nullptr;
    return false;
  }
  resume_at = &here;
  // The compiler must not move a copy out of the guarded stretch.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  for (std::size_t i = 0; i < count; ++i) move_run(runs[i], direction);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  resume_at = nullptr;
  finish_moves();
  return true;
}

}  // namespace

void install_bus_guard() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous_action);
  });
}

bool run_guarded(const Piece& piece, Direction direction) noexcept {
  if (!piece.runs.empty()) return move_or_jump(piece.runs.data(), piece.runs.size(), direction);
  Run run = piece.cut;
  if (piece.cut_shape) run.shape = &*piece.cut_shape;
  return move_or_jump(&run, 1, direction);
}

}  // namespace lmcache::copy
