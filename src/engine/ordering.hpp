// Order among the requests of one connection. Two requests that name the same instance or the same
// request id run one after the other, in the order they arrived; all others run as they come. The
// client does not wait between them: a store is followed by the unregister that would pull the
// memory from under it, free_lookup_locks by the end_session behind it.
//
// Each request waits for the last one before it under each of its keys; when it finishes, those
// that waited only for it start. Thread-safe.
#pragma once

#include "wire/requests.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

namespace lmcache::engine {

/// What a request touches: an instance or a request id.
using OrderKey = std::variant<wire::InstanceId, std::string>;

class Ordering {
 public:
  class Turn;
  using TurnPtr = std::shared_ptr<Turn>;
  using Run = std::function<void(TurnPtr)>;

  /// Queues a request. Returns true if its turn is now (the caller runs it); otherwise `run` is
  /// called when it comes, from the thread that finished the last one before it. Either way
  /// finish(turn) must follow once the request is over.
  [[nodiscard]] bool enter(const std::vector<OrderKey>& keys, Run run, TurnPtr& turn);
  void finish(const TurnPtr& turn);
  [[nodiscard]] std::size_t pending() const;

 private:
  mutable std::mutex mutex_;  // guards everything below and all turns
  std::unordered_map<OrderKey, TurnPtr> last_;
  std::size_t pending_ = 0;
};

}  // namespace lmcache::engine
