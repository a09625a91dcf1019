// The byte loops of one run. No checks here: plan.* made the pointers, guarded.* catches pages that
// have gone.
#pragma once

#include "copy/plan.hpp"

namespace lmcache::copy {

/// Executes `run`. Long runs bypass the cache: a chunk is far larger than it and not read again
/// soon. Call finish_moves() before the bytes are handed to another thread.
void move_run(const Run& run, Direction direction) noexcept;

/// Makes streamed bytes visible to other cores.
void finish_moves() noexcept;

}  // namespace lmcache::copy
