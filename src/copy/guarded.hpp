// Copies that survive the loss of a page. A client owns its shared memory and may shrink it at any
// time; touching a page behind the new end raises SIGBUS. Inside run_guarded() that ends the copy;
// anywhere else it is a crash as before.
#pragma once

#include "copy/pieces.hpp"

namespace lmcache::copy {

/// Installs the SIGBUS handler of the process, once. A handler installed earlier still gets every
/// SIGBUS that is not ours.
void install_bus_guard();

/// Executes a piece. False when a page could not be read or written; what was copied before stays.
/// Any thread; needs install_bus_guard() before.
[[nodiscard]] bool run_guarded(const Piece& piece, Direction direction) noexcept;

}  // namespace lmcache::copy
