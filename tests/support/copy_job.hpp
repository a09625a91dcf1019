// Copy jobs whose runs are known beforehand.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "copy/cpu_copier.hpp"

namespace lmcache::test {

using Slices = std::vector<std::vector<copy::Run>>;

inline void give_slices(copy::CopyJob& job, Slices slices) {
  job.slices = slices.size();
  job.plan = [all = std::make_shared<const Slices>(std::move(slices))](
                 std::size_t slice, std::vector<copy::Run>& runs) { runs = (*all)[slice]; };
}

}  // namespace lmcache::test
