#include "engine/transfer_meter.hpp"

#include "obs/metrics.hpp"

#include <algorithm>

namespace lmcache::engine {
namespace {

obs::TransferRates& rates_of(const Instance& worker) {
  return obs::metrics().rates.row(
      {worker.memory ? "cuda" : "cpu", std::to_string(worker.id), worker.model});
}

obs::TransferCounts& counts_of(const Instance& worker) {
  return worker.memory ? obs::metrics().cuda : obs::metrics().cpu;
}

}  // namespace

void TransferMeter::begin(std::span<const ObjectRef> objects) {
  begun_ = std::chrono::steady_clock::now();
  objects_ = objects.size();
  bytes_ = 0;
  for (const ObjectRef& object : objects) bytes_ += object.bytes;
}

double TransferMeter::gigabytes_per_second() const {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
  return static_cast<double>(bytes_) / 1e9 / std::max(took.count(), 1e-9);
}

void TransferMeter::store_submitted(const Instance& worker, std::span<const ObjectRef> objects) {
  counts_of(worker).submitted_stores.add();
  begin(objects);
}

void TransferMeter::retrieve_submitted(const Instance& worker, std::span<const ObjectRef> objects) {
  counts_of(worker).submitted_retrieves.add();
  begin(objects);
}

void TransferMeter::store_ended(bool ok, const Keyspace& keyspace, const Instance& worker) {
  counts_of(worker).finished_stores.add();
  if (!ok) return;
  obs::metrics().l1.row({keyspace.salt}).written_objects.add(objects_);
  worker.moved.stored_bytes.add(bytes_);
  if (bytes_ > 0) rates_of(worker).store.observe(gigabytes_per_second());
}

void TransferMeter::retrieve_ended(bool ok, const Keyspace& keyspace, const Instance& worker,
                                   std::uint32_t chunks) {
  counts_of(worker).finished_retrieves.add();
  if (!ok) return;
  obs::metrics().l1.row({keyspace.salt}).read_objects.add(objects_);
  worker.moved.retrieved_bytes.add(bytes_);
  obs::metrics()
      .loads.row({keyspace.model, keyspace.salt, std::to_string(worker.id)})
      .chunks.add(chunks);
  if (bytes_ > 0) rates_of(worker).load.observe(gigabytes_per_second());
}

void TransferMeter::nothing_to_read(const Instance& worker, std::uint32_t chunks) {
  std::uint64_t objects = 0;
  for (const ObjectLayout::Group& group : worker.layout->groups) {
    if (group.auxiliary) continue;
    const bool all = group.window_chunks <= 0;
    objects += all ? chunks : std::min(chunks, static_cast<std::uint32_t>(group.window_chunks));
  }
  obs::metrics().read_failures.row({worker.model}).objects.add(objects);
}

}  // namespace lmcache::engine
