#include "engine/coming_transfer.hpp"

namespace lmcache::engine {
namespace {

/// Objects of all groups.
std::uint64_t bytes_of(const Geometry& geometry, std::uint64_t chunks) {
  std::uint64_t bytes = 0;
  for (const ObjectGroup& group : geometry.object_groups) bytes += group.bytes;
  return bytes * chunks;
}

}  // namespace

std::optional<ComingTransfer> coming_transfer(const wire::Operation& operation,
                                              const wire::Message& message) {
  const bool store = operation.op == wire::Op::kStore;
  if (!store && operation.op != wire::Op::kRetrieve) return std::nullopt;
  const auto preview = wire::preview_transfer(message);
  if (!preview) return std::nullopt;
  return ComingTransfer{store ? copy::Direction::kStore : copy::Direction::kRetrieve,
                        preview->instance,
                        {preview->event.begin(), preview->event.end()},
                        preview->first_ids};
}

void expect(Engine& engine, net::PeerId peer, const ComingTransfer& coming) {
  const InstancePtr worker = engine.instances().find(peer, coming.instance, Clock::now());
  if (!worker || !worker->memory) return;
  const Geometry& geometry = worker->geometry;
  const std::uint64_t chunks = coming.first_ids / geometry.kernel_groups.front().ids_per_chunk;
  if (chunks == 0) return;
  engine.devices().expect(
      {coming.direction, worker->memory, coming.event, bytes_of(geometry, chunks)});
}

}  // namespace lmcache::engine
