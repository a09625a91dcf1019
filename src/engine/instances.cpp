#include "engine/instances.hpp"

#include <algorithm>

namespace lmcache::engine {

void Instances::open(net::PeerId peer) {
  const std::lock_guard lock(mutex_);
  peers_.try_emplace(peer);
}

void Instances::prove(net::PeerId peer) {
  const std::lock_guard lock(mutex_);
  if (const auto found = peers_.find(peer); found != peers_.end()) found->second.proven = true;
}

bool Instances::proven(const Entry& entry) const {
  return std::ranges::any_of(entry.peers, [this](net::PeerId peer) {
    const auto found = peers_.find(peer);
    return found != peers_.end() && found->second.proven;
  });
}

InstancePtr Instances::erase(std::unordered_map<wire::InstanceId, Entry>::iterator entry) {
  for (const net::PeerId peer : entry->second.peers) {
    if (const auto found = peers_.find(peer); found != peers_.end())
      found->second.used.erase(entry->first);
  }
  InstancePtr gone = std::move(entry->second.instance);
  entries_.erase(entry);
  discount(*gone);
  return gone;
}

void Instances::count(const Instance& instance) {
  Shared& shared = layouts_[instance.model][instance.world_size][instance.layout->fingerprint];
  if (shared.workers++ == 0) shared.layout = instance.layout;
}

void Instances::discount(const Instance& instance) {
  const auto model = layouts_.find(instance.model);
  const auto world = model->second.find(instance.world_size);
  const auto shared = world->second.find(instance.layout->fingerprint);
  if (--shared->second.workers > 0) return;
  world->second.erase(shared);
  if (world->second.empty()) model->second.erase(world);
  if (model->second.empty()) layouts_.erase(model);
}

std::vector<InstancePtr> Instances::close(net::PeerId peer) {
  std::vector<InstancePtr> gone;
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return gone;
  const auto used = std::move(found->second.used);
  peers_.erase(found);
  for (const wire::InstanceId id : used) {
    const auto entry = entries_.find(id);
    if (entry == entries_.end()) continue;
    entry->second.peers.erase(peer);
    if (entry->second.peers.empty()) gone.push_back(erase(entry));
  }
  return gone;
}

void Instances::announce(net::PeerId peer, wire::InstanceId id) {
  const std::lock_guard lock(mutex_);
  if (const auto found = peers_.find(peer); found != peers_.end())
    found->second.announced.insert(id);
}

bool Instances::may_register(net::PeerId peer, wire::InstanceId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return true;  // it will not be kept
  const auto& used = found->second.used;
  return used.contains(id) || used.size() < kRegistrationsPerPeer;
}

void Instances::forget_announced(net::PeerId peer, wire::InstanceId id) {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  auto& announced = found->second.announced;
  if (const auto one = announced.find(id); one != announced.end()) announced.erase(one);
}

InstancePtr Instances::put(net::PeerId peer, InstancePtr instance, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return instance;
  const wire::InstanceId id = instance->id;
  count(*instance);
  Entry& entry = entries_[id];
  std::swap(entry.instance, instance);
  if (instance) discount(*instance);
  entry.peers.insert(peer);
  entry.last_seen = now;
  found->second.used.insert(id);
  found->second.told.erase(id);
  return instance;
}

InstancePtr Instances::remove(wire::InstanceId id) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  return entry == entries_.end() ? nullptr : erase(entry);
}

InstancePtr Instances::find(net::PeerId peer, wire::InstanceId id, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return nullptr;
  entry->second.last_seen = now;
  if (const auto found = peers_.find(peer); found != peers_.end()) {
    entry->second.peers.insert(peer);
    found->second.used.insert(id);
  }
  return entry->second.instance;
}

bool Instances::ping(net::PeerId peer, wire::InstanceId id, Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return true;
  Peer& connection = found->second;
  if (const auto entry = entries_.find(id); entry != entries_.end()) {
    entry->second.last_seen = now;
    entry->second.pinged = true;
    entry->second.peers.insert(peer);
    connection.used.insert(id);
    connection.told.erase(id);
    return true;
  }
  if (connection.announced.contains(id)) return true;
  if (connection.told.contains(id)) return true;
  // A peer that makes ids up must not grow us; forgetting what it was told only tells it once more.
  if (connection.told.size() >= kUnknownPingsPerPeer) connection.told.clear();
  connection.told.insert(id);
  return false;
}

std::vector<LayoutPtr> Instances::layouts(const std::string& model, std::uint32_t world_size,
                                          std::optional<wire::InstanceId> except) const {
  std::vector<LayoutPtr> out;
  const std::lock_guard lock(mutex_);
  const auto of_model = layouts_.find(model);
  if (of_model == layouts_.end()) return out;
  const auto found = of_model->second.find(world_size);
  if (found == of_model->second.end()) return out;
  const Instance* left_out = nullptr;
  if (const auto entry = except ? entries_.find(*except) : entries_.end();
      entry != entries_.end()) {
    const Instance& instance = *entry->second.instance;
    if (instance.model == model && instance.world_size == world_size) left_out = &instance;
  }
  for (const auto& [fingerprint, shared] : found->second) {
    const bool its_alone =
        left_out && shared.workers == 1 && left_out->layout->fingerprint == fingerprint;
    if (!its_alone) out.push_back(shared.layout);
  }
  return out;
}

std::vector<InstancePtr> Instances::reap(Clock::time_point silent_before,
                                         Clock::time_point never_pinged_before) {
  std::vector<InstancePtr> gone;
  const std::lock_guard lock(mutex_);
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    const bool silent =
        entry->second.last_seen < (entry->second.pinged ? silent_before : never_pinged_before);
    if (silent && !proven(entry->second)) gone.push_back(erase(entry));
    entry = next;
  }
  return gone;
}

std::vector<InstancePtr> Instances::all() const {
  std::vector<InstancePtr> out;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, entry] : entries_) out.push_back(entry.instance);
  }
  std::ranges::sort(out, {}, [](const InstancePtr& instance) { return instance->id; });
  return out;
}

std::size_t Instances::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace lmcache::engine
