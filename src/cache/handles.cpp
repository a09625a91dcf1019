// What handles do when they end, and the thin public classes around them.
#include "cache/core.hpp"

namespace lmcache {
namespace detail {

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

LeaseState::~LeaseState() {
  const std::lock_guard lock(core->mutex);
  core->unpin_chain(chain, window_from);
}

ReadState::~ReadState() {
  const std::lock_guard lock(core->mutex);
  core->unpin_chain(pinned, window_from);
}

StoreState::~StoreState() {
  const std::lock_guard lock(core->mutex);
  give_back();
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

ReadPins::ReadPins() noexcept = default;
ReadPins::ReadPins(ReadPins&&) noexcept = default;
ReadPins& ReadPins::operator=(ReadPins&&) noexcept = default;
ReadPins::~ReadPins() = default;

std::span<const ObjectRef> ReadPins::objects() const noexcept {
  return state_ ? std::span<const ObjectRef>(state_->objects) : std::span<const ObjectRef>();
}

}  // namespace lmcache
