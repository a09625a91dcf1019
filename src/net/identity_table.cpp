#include "net/identity_table.hpp"

#include <algorithm>
#include <utility>

namespace lmcache::net {

bool IdentityTable::claim(const std::string& identity, PeerId peer, std::function<void()> granted) {
  const std::lock_guard lock{mutex_};
  const auto [it, fresh] = entries_.try_emplace(identity);
  if (fresh) {
    it->second.owner = peer;
    return true;
  }
  it->second.waiting.push_back({peer, std::move(granted)});
  return false;
}

void IdentityTable::release(const std::string& identity, PeerId peer) {
  std::function<void()> granted;
  {
    const std::lock_guard lock{mutex_};
    const auto it = entries_.find(identity);
    if (it == entries_.end()) return;
    Entry& entry = it->second;
    if (entry.owner != peer) {
      std::erase_if(entry.waiting, [peer](const Waiter& waiter) { return waiter.peer == peer; });
      return;
    }
    if (entry.waiting.empty()) {
      entries_.erase(it);
      return;
    }
    entry.owner = entry.waiting.front().peer;
    granted = std::move(entry.waiting.front().granted);
    entry.waiting.pop_front();
  }
  granted();
}

std::size_t IdentityTable::size() const {
  const std::lock_guard lock{mutex_};
  return entries_.size();
}

}  // namespace lmcache::net
