#include "gpu/checkpoints.hpp"

#include "gpu/cuda.hpp"

#include <utility>

namespace lmcache::gpu {

Status Checkpoints::mark(cudaStream_t stream) {
  if (spare_.empty()) {
    auto made = make_event(cudaEventDisableTiming);
    if (!made) return made.error();
    spare_.push_back(std::move(*made));
  }
  ahead_.push_back(std::move(spare_.back()));
  spare_.pop_back();
  return check(cudaEventRecord(ahead_.back().get(), stream), "recording an event");
}

void Checkpoints::pass() {
  while (!ahead_.empty() && cudaEventQuery(ahead_.front().get()) == cudaSuccess) {
    spare_.push_back(std::move(ahead_.front()));
    ahead_.pop_front();
  }
}

bool Checkpoints::full() {
  if (ahead_.size() >= most_) pass();
  return ahead_.size() >= most_;
}

}  // namespace lmcache::gpu
