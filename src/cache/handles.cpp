// What handles do when they end, the thin public classes around them, and what all share.
#include <chrono>
#include <thread>
#include <unordered_map>

#include "cache/core.hpp"

namespace lmcache {
namespace detail {

void let_others_in(std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  std::this_thread::sleep_for(std::chrono::microseconds(20));
  lock.lock();
}

void Core::pin_chain(std::span<const cache::ChunkId> chain, std::size_t window_from) {
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (chain[i] == cache::kNoId) continue;
    if (i > 0 && chain[i - 1] != cache::kNoId) table.link(chain[i], chain[i - 1]);
    table.pin(chain[i]);
    if (i >= window_from) table.pin_window(chain[i]);
  }
}

void Core::unpin_chain(std::span<const cache::ChunkId> chain, std::size_t window_from) {
  for (std::size_t i = chain.size(); i-- > 0;) {
    if (chain[i] == cache::kNoId) continue;
    if (i >= window_from) table.unpin_window(chain[i]);
    table.unpin(chain[i]);
  }
}

void Core::free_after_readers(std::span<const Withdrawn> taken) {
  std::unordered_map<const std::byte*, std::shared_ptr<const Withdrawn>> by_place;
  for (const Withdrawn& one : taken)
    by_place.emplace(one.memory, std::make_shared<const Withdrawn>(one));
  for (Reader* reader : readers)
    for (const ObjectRef& object : reader->objects)
      if (const auto found = by_place.find(object.data); found != by_place.end())
        reader->kept.push_back(found->second);
  for (const auto& [place, one] : by_place)
    if (one.use_count() == 1) table.give_back(one->memory, one->bytes, one->tenant);
}

void Core::leave(Reader& reader) {
  readers.erase(&reader);
  for (const auto& one : reader.kept)
    if (one.use_count() == 1) table.give_back(one->memory, one->bytes, one->tenant);
  reader.kept.clear();
}

LeaseState::~LeaseState() {
  const std::lock_guard lock(core->mutex);
  core->unpin_chain(chain, window_from);
}

ReadState::~ReadState() {
  const std::lock_guard lock(core->mutex);
  core->leave(reader);
  core->unpin_chain(pinned, window_from);
}

StoreState::~StoreState() {
  const std::lock_guard lock(core->mutex);
  give_back();
  core->leave(others);
  core->copying_objects -= copying.size();
  for (const ObjectRef& object : copying) core->table.unpin_window(chain[object.chunk]);
  core->unpin_chain(chain, window_from);
  if (layout != cache::kNoId) core->table.release_layout(layout);
  if (keyspace != cache::kNoId) core->table.keyspaces().release(keyspace);
}

}  // namespace detail

Lease::Lease() noexcept = default;
Lease::Lease(Lease&&) noexcept = default;
Lease& Lease::operator=(Lease&&) noexcept = default;
Lease::~Lease() = default;

std::uint32_t Lease::chunks() const noexcept {
  return state_ ? static_cast<std::uint32_t>(state_->chain.size()) : 0;
}

bool Lease::holds(std::uint32_t index) const noexcept {
  return index < chunks() && state_->held[index];
}

void Lease::release(std::uint32_t index) noexcept {
  if (!holds(index)) return;
  state_->held[index] = false;
  cache::ChunkId& id = state_->chain[index];
  if (id == cache::kNoId) return;
  const std::lock_guard lock(state_->core->mutex);
  if (index >= state_->window_from) state_->core->table.unpin_window(id);
  state_->core->table.unpin(id);
  id = cache::kNoId;
}

StoreTicket::StoreTicket() noexcept = default;
StoreTicket::StoreTicket(StoreTicket&&) noexcept = default;
StoreTicket& StoreTicket::operator=(StoreTicket&&) noexcept = default;
StoreTicket::~StoreTicket() = default;

std::span<const ObjectRef> StoreTicket::objects() const noexcept {
  return state_ ? std::span<const ObjectRef>(state_->objects) : std::span<const ObjectRef>();
}

std::span<const ObjectRef> StoreTicket::others() const noexcept {
  return state_ ? std::span<const ObjectRef>(state_->others.objects) : std::span<const ObjectRef>();
}

bool StoreTicket::intact() const {
  if (!state_) return true;
  const std::lock_guard lock(state_->core->mutex);
  return state_->others.kept.empty();
}

ReadPins::ReadPins() noexcept = default;
ReadPins::ReadPins(ReadPins&&) noexcept = default;
ReadPins& ReadPins::operator=(ReadPins&&) noexcept = default;
ReadPins::~ReadPins() = default;

std::span<const ObjectRef> ReadPins::objects() const noexcept {
  return state_ ? std::span<const ObjectRef>(state_->reader.objects) : std::span<const ObjectRef>();
}

bool ReadPins::intact() const {
  if (!state_) return true;
  const std::lock_guard lock(state_->core->mutex);
  return state_->reader.kept.empty();
}

}  // namespace lmcache
