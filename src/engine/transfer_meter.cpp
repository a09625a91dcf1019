#include "engine/transfer_meter.hpp"

#include "cache/sample_key.hpp"
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

void TransferMeter::begin(std::span<const ObjectRef> objects, std::span<const ChunkHash> chain) {
  const obs::Lives& lives = obs::metrics().lives;
  begun_ = std::chrono::steady_clock::now();
  objects_ = objects.size();
  bytes_ = chunks_ = 0;
  sampled_.clear();
  for (std::size_t i = 0; i < objects.size(); ++i) {  // chunk by chunk
    const ObjectRef& object = objects[i];
    bytes_ += object.bytes;
    if (i == 0 || objects[i - 1].chunk != object.chunk) ++chunks_;
    const ChunkHash& hash = chain[object.chunk];
    if (lives.samples(cache::sample_word(hash)))
      sampled_.push_back({hash, object.group, static_cast<std::uint32_t>(chunks_ - 1)});
  }
}

void TransferMeter::tell_lives(const Keyspace& keyspace, std::uint32_t rank, bool is_read) const {
  obs::Lives& lives = obs::metrics().lives;
  const std::uint64_t number = lives.count_accesses(keyspace.salt, chunks_);
  const auto now = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < sampled_.size(); ++i) {
    const Sampled& one = sampled_[i];
    const std::uint64_t chunk = cache::sample_key(keyspace, one.hash, rank);
    const std::uint64_t object = cache::sample_key(chunk, one.group);
    is_read ? lives.read(object, now) : lives.written(object, now);
    if (i == 0 || sampled_[i - 1].nth != one.nth)
      lives.accessed(keyspace.salt, chunk, number + one.nth, is_read, now);
  }
}

double TransferMeter::gigabytes_per_second() const {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun_;
  return static_cast<double>(bytes_) / 1e9 / std::max(took.count(), 1e-9);
}

void TransferMeter::store_submitted(const Instance& worker, std::span<const ObjectRef> objects,
                                    std::span<const ChunkHash> chain) {
  counts_of(worker).submitted_stores.add();
  begin(objects, chain);
}

void TransferMeter::retrieve_submitted(const Instance& worker, std::span<const ObjectRef> objects,
                                       std::span<const ChunkHash> chain) {
  counts_of(worker).submitted_retrieves.add();
  begin(objects, chain);
}

void TransferMeter::store_ended(bool ok, const Keyspace& keyspace, std::uint32_t rank,
                                const Instance& worker) {
  counts_of(worker).finished_stores.add();
  if (!ok) return;
  obs::metrics().l1.row({keyspace.salt}).written_objects.add(objects_);
  worker.moved.stored_bytes.add(bytes_);
  if (bytes_ > 0) rates_of(worker).store.observe(gigabytes_per_second());
  tell_lives(keyspace, rank, false);
}

void TransferMeter::retrieve_ended(bool ok, const Keyspace& keyspace, std::uint32_t rank,
                                   const Instance& worker, std::uint32_t chunks) {
  counts_of(worker).finished_retrieves.add();
  if (!ok) return;
  obs::metrics().l1.row({keyspace.salt}).read_objects.add(objects_);
  worker.moved.retrieved_bytes.add(bytes_);
  obs::metrics()
      .loads.row({keyspace.model, keyspace.salt, std::to_string(worker.id)})
      .chunks.add(chunks);
  if (bytes_ > 0) rates_of(worker).load.observe(gigabytes_per_second());
  tell_lives(keyspace, rank, true);
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
