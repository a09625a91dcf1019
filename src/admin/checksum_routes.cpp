// /cache/checksums.
#include "admin/checksums.hpp"
#include "admin/input.hpp"
#include "admin/routes.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>

namespace lmcache::admin {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kIdsMax = 1u << 16;
constexpr std::uint64_t kBytesMax = 1ull << 30;
/// Copies of engines go on meanwhile, and however long that takes, the slow lane must come round.
constexpr std::chrono::seconds kTimeMax{5};

engine::InstancePtr find_worker(const Context& context, std::uint64_t id) {
  const auto workers = context.engine.instances().all();
  const auto found = std::ranges::find_if(workers, [&](const engine::InstancePtr& worker) {
    return static_cast<std::uint64_t>(worker->id) == id;
  });
  return found == workers.end() ? nullptr : *found;
}

/// Reads by `start(runs, done)`, and waits for it until the time is up. `done` may come later and
/// keeps what is read, and where to, until then.
template <class Start>
Reader reader(const engine::InstancePtr& worker, Clock::time_point until, Start start) {
  return [worker, until, start](std::vector<copy::Run> runs, std::shared_ptr<void> objects) {
    const Error late{Cause::kTimeout, "not read within " + std::to_string(kTimeMax.count()) +
                                          " s; ask for fewer blocks at a time"};
    if (Clock::now() >= until) return Status(late);
    const auto outcome = std::make_shared<std::promise<Status>>();
    auto result = outcome->get_future();
    start(std::move(runs), [outcome, worker, objects = std::move(objects)](const Status& status) {
      outcome->set_value(status);
    });
    return result.wait_until(until) == std::future_status::ready ? result.get() : Status(late);
  };
}

/// On the GPU's own thread, between transfers.
Reader gpu_reader(const Context& context, const engine::InstancePtr& worker,
                  Clock::time_point until) {
  return reader(worker, until,
                [&devices = context.engine.devices(), memory = worker->memory](
                    std::vector<copy::Run> runs, std::function<void(Status)> done) {
                  devices.read(memory, std::move(runs), std::move(done));
                });
}

/// The copy threads read: they survive a worker that shrinks its memory, and take turns.
Reader cpu_reader(const Context& context, const engine::InstancePtr& worker,
                  Clock::time_point until) {
  return reader(worker, until,
                [&copier = context.engine.copier(), until](std::vector<copy::Run> runs,
                                                           std::function<void(Status)> done) {
                  copy::CopyJob job;
                  job.direction = copy::Direction::kStore;
                  job.slices = 1;
                  job.plan = [runs = std::move(runs)](std::size_t, std::vector<copy::Run>& out) {
                    out = runs;
                  };
                  job.start_by = until;
                  job.done = std::move(done);
                  copier.submit(std::move(job));
                });
}

std::optional<Response> refuse_blocks(const std::vector<TensorPages>& tensors,
                                      const std::vector<std::int64_t>& ids) {
  std::uint64_t bytes = 0;
  for (const TensorPages& tensor : tensors) {
    bytes += tensor.page_bytes() * tensor.offsets.size() * ids.size();
    for (const std::int64_t id : ids) {
      if (id >= 0 && static_cast<std::uint64_t>(id) < tensor.group->num_blocks) continue;
      return detail(400, "block id " + std::to_string(id) + " is not one of 0.." +
                             std::to_string(tensor.group->num_blocks - 1));
    }
  }
  if (bytes > kBytesMax)
    return detail(400, "that is " + std::to_string(bytes >> 20) +
                           " MiB to read; ask for at most 1024 MiB at a time");
  return std::nullopt;
}

Response checksums(const Context& context, const Request& request) {
  Input input(request);
  input.require_body();
  const auto ids = input.integers("block_ids", kIdsMax, false);
  const std::uint64_t blocks_per_chunk = input.integer("chunk_size", 0);
  const std::uint64_t instance = input.integer("instance_id", 0);
  const bool layerwise = input.boolean("layerwise", false);
  if (auto refusal = input.refusal()) return *refusal;
  const engine::InstancePtr worker = find_worker(context, instance);
  if (!worker) return detail(404, "instance_id " + std::to_string(instance) + " not registered");
  if (ids.empty()) return detail(400, "block_ids is required");
  if (blocks_per_chunk == 0) return detail(400, "chunk_size must be positive");
  const auto tensors = tensor_pages(worker->geometry);
  if (auto refusal = refuse_blocks(tensors, ids)) return *refusal;
  const auto until = Clock::now() + kTimeMax;
  const Reader read =
      worker->memory ? gpu_reader(context, worker, until) : cpu_reader(context, worker, until);
  auto digests = block_checksums(tensors, worker->bases, ids, blocks_per_chunk, layerwise, read);
  if (!digests) {
    const Error& error = digests.error();
    return detail(503, error.cause == Cause::kTimeout
                           ? error.text
                           : "the worker's memory could not be read: " + error.text);
  }
  const std::size_t chunks = (ids.size() - 1) / blocks_per_chunk + 1;
  return json({{"status", "success"},
               {"chunk_size", blocks_per_chunk},
               {"num_chunks", chunks},
               {"chunk_checksums", std::move(*digests)},
               {"layerwise", layerwise},
               {"block_id_ranges", compressed(ids)}});
}

}  // namespace

void add_checksum_routes(Router& router, const Context& context) {
  const Json number{{"type", "integer"}};
  router.add({.verb = Verb::post,
              .pattern = "/cache/checksums",
              .summary = "MD5 of blocks of a worker's KV tensors, chunk_size blocks a digest",
              .handler = [&context](const Request& r) { return checksums(context, r); },
              .lane = Lane::kSlow,
              .body = {{"type", "object"},
                       {"properties",
                        {{"instance_id", number},
                         {"block_ids", {{"type", "array"}, {"items", number}}},
                         {"chunk_size", number},
                         {"layerwise", {{"type", "boolean"}}}}}},
              .answers = {{400, "No blocks, or no such block"},
                          {404, "No such worker"},
                          kWrongForm,
                          {503, "The worker's memory has gone, or reading it takes too long"}},
              .needs_body = true});
}

}  // namespace lmcache::admin
