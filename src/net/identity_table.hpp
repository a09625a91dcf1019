// Who may use which given identity, as libzmq's ROUTER has it: the first connection keeps it, later
// ones wait in line until it has gone. Peers without a given identity are not in here (their PeerId
// is the generated one). Any thread.
#pragma once

#include "net/handler.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>

namespace lmcache::net {

class IdentityTable {
 public:
  /// True when `peer` has `identity` now. Otherwise it is in line, and `granted` is called once
  /// when its turn has come, from the thread that released it; it must only hand the news on.
  [[nodiscard]] bool claim(const std::string& identity, PeerId peer, std::function<void()> granted);

  /// Gives back what claim() gave: the identity, or the place in line.
  void release(const std::string& identity, PeerId peer);

  /// Identities in use.
  [[nodiscard]] std::size_t size() const;

 private:
  struct Waiter {
    PeerId peer = 0;
    std::function<void()> granted;
  };
  struct Entry {
    PeerId owner = 0;
    std::deque<Waiter> waiting;
  };

  mutable std::mutex mutex_;  ///< guards entries_
  std::unordered_map<std::string, Entry> entries_;
};

}  // namespace lmcache::net
