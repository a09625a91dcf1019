// Pages cut into batches for a buffer that is smaller than all of them. Pure.
#pragma once

#include "load/tensor_memory.hpp"

namespace lmcache::load {

/// End of the longest run of pages from `begin` on that fits `room` bytes. `begin` itself at the
/// end of the pages, or where the first of them is too large.
[[nodiscard]] inline std::size_t batch_end(std::span<const Page> pages, std::size_t begin,
                                           std::size_t room) {
  std::size_t end = begin;
  for (; end < pages.size() && pages[end].bytes <= room; ++end) room -= pages[end].bytes;
  return end;
}

}  // namespace lmcache::load
