// A transfer of a world's objects, submitted to the GPU side: on a real GPU or a simulated one.
#pragma once

#include "gpu/devices.hpp"
#include "support/kv_world.hpp"

#include <chrono>
#include <future>
#include <memory>
#include <utility>
#include <vector>

namespace lmcache::test {

/// What a transfer answered, and how it ended.
struct Outcome {
  using Patience = std::chrono::milliseconds;
  std::shared_future<Result<wire::Bytes>> queued;
  std::shared_future<Status> done;

  [[nodiscard]] bool answered(Patience patience = std::chrono::seconds(30)) const {
    return queued.wait_for(patience) == std::future_status::ready;
  }
  [[nodiscard]] bool ended(Patience patience = std::chrono::seconds(30)) const {
    return done.wait_for(patience) == std::future_status::ready;
  }
  /// Answered and ended well.
  [[nodiscard]] bool good() const { return answered() && queued.get() && ended() && done.get(); }
};

/// `transfer` has what is special about it: direction, memory, bases, objects, event.
inline Outcome submit_to(gpu::Devices& devices, const World& world, gpu::Transfer transfer) {
  struct Promises {
    std::promise<Result<wire::Bytes>> queued;
    std::promise<Status> done;
  };
  auto promises = std::make_shared<Promises>();
  Outcome outcome{promises->queued.get_future().share(), promises->done.get_future().share()};
  transfer.geometry = world.geometry;
  transfer.ids = world.ids;
  transfer.queued = [promises](Result<wire::Bytes> result) {
    promises->queued.set_value(std::move(result));
  };
  transfer.done = [promises](Status status) { promises->done.set_value(std::move(status)); };
  devices.submit(std::move(transfer));
  return outcome;
}

}  // namespace lmcache::test
