#include "engine/transfer_requests.hpp"

#include "copy/plan.hpp"
#include "engine/engine.hpp"
#include "engine/transfer_meter.hpp"
#include "obs/log.hpp"

#include <algorithm>
#include <optional>

namespace lmcache::engine {
namespace {

/// A CPU worker has no device to wait for: its events are a fixed text, or nothing. The reply hands
/// back what came.
Status check_event(wire::ByteView event) {
  if (gpu::names_no_event(event)) return {};
  return Error{Cause::kMalformed, "an event handle of " + std::to_string(event.size()) +
                                      " bytes does not belong to a CPU worker"};
}

/// Chunks [first, last) of a call, from its token range.
struct ChunkRange {
  std::uint32_t first = 0, last = 0;
  [[nodiscard]] std::uint32_t count() const noexcept { return last - first; }
};

Result<ChunkRange> chunk_range(const wire::Key& key, std::uint32_t chunk_tokens) {
  const auto error = [&](const char* what) {
    return Error{Cause::kBadRange, "token range " + std::to_string(key.start) + ".." +
                                       std::to_string(key.end) + " of " +
                                       std::to_string(key.tokens->size()) + " tokens " + what};
  };
  if (!key.worker_id)
    return Error{Cause::kBadRange, "worker_id is missing; only a worker can move its shard"};
  if (key.start % chunk_tokens != 0 || key.end % chunk_tokens != 0)
    return error("is not aligned to the chunk size");
  if (key.end > key.tokens->size()) return error("ends beyond the tokens");
  const auto first = static_cast<std::uint32_t>(key.start / chunk_tokens);
  if (key.end <= key.start) return ChunkRange{first, first};
  return ChunkRange{first, static_cast<std::uint32_t>(key.end / chunk_tokens)};
}

/// What store and retrieve have in common: the key's range and chain, the worker, the reply.
template <copy::Direction kDirection, class Decoded>
class Transfer : public AnsweredRequest {
 public:
  Transfer(Engine& engine, Arrival arrival, Decoded request)
      : AnsweredRequest(engine, arrival),
        event_(request.event.begin(), request.event.end()),
        request_(std::move(request)),
        range_(chunk_range(request_.key, engine.config().chunk_size)) {
    // An empty range may begin anywhere, beyond the tokens too.
    const bool moves = range_ && range_->count() > 0;
    chain_.emplace(engine_.chains(), std::move(request_.key.tokens), moves ? range_->last : 0);
  }

  std::vector<OrderKey> keys() const override {
    return {request_.instance, request_.key.request_id};
  }
  bool prepare() override { return chain_->step(); }

 protected:
  /// Everything that can be wrong with the request itself; on success the worker is in worker_.
  Status check() {
    worker_ = engine_.instances().find(peer_, request_.instance, Clock::now());
    if (!worker_) {
      return Error{Cause::kUnknownInstance,
                   "instance " + std::to_string(request_.instance) + " is not registered"};
    }
    if (!worker_->memory)
      if (Status event = check_event(event_); !event) return event;
    if (!range_) return range_.error();
    return copy::check_block_ids(worker_->geometry, request_.block_ids, range_->count(),
                                 engine_.config().null_block_id);
  }

  /// Answers and ends the turn. Where nothing is copied, or nothing yet known to have been, there
  /// is no event to wait for: a CPU worker gets its own text back, a GPU worker none.
  void end(const Status& status) {
    const bool own = worker_ && !worker_->memory;
    end(status, own ? wire::ByteView{event_} : wire::ByteView{});
  }
  void end(const Status& status, wire::ByteView event) {
    if (status) {
      responder_.transfer(event, true);
    } else {
      responder_.fail(status.error(), event);
    }
    worker_.reset();
    if (finished_) std::exchange(finished_, nullptr)();
  }

  [[nodiscard]] std::uint32_t rank() const { return *request_.key.worker_id; }
  [[nodiscard]] const Keyspace& keyspace() const { return request_.key.keyspace; }

  [[nodiscard]] Clock::time_point start_by() const {
    const auto& config = engine_.config();
    return Clock::now() +
           (kDirection == copy::Direction::kStore ? config.l1_write_ttl : config.l1_read_ttl);
  }

  /// For a GPU worker; what is done at its two stages is left to the caller. Takes the block ids.
  gpu::Transfer gpu_transfer(std::span<const ObjectRef> objects, std::uint64_t skip_tokens) {
    gpu::Transfer transfer;
    transfer.direction = kDirection;
    transfer.memory = worker_->memory;
    transfer.geometry = {worker_, &worker_->geometry};
    transfer.bases = worker_->bases;
    transfer.objects.assign(objects.begin(), objects.end());
    transfer.first_chunk = range_->first;
    transfer.ids = std::move(request_.block_ids);
    transfer.null_id = engine_.config().null_block_id;
    transfer.skip_tokens = skip_tokens;
    transfer.event = event_;
    transfer.start_by = start_by();
    return transfer;
  }

  /// A GPU's copy has failed after its request was answered well: nobody else tells why.
  static void note_late_failure(const Instance& worker, const Error& error) {
    constexpr bool kStore = kDirection == copy::Direction::kStore;
    obs::log_event(obs::Level::kWarn,
                   kStore ? "a store has failed after its reply: its chunks are gone"
                          : "a retrieve has failed after its reply",
                   {{"instance", worker.id},
                    {"cause", to_string(error.cause)},
                    {"text", std::string_view(error.text)}});
  }

  /// One slice per object, so that a large transfer can be interleaved with others. The request,
  /// which the job's `done` holds, and the objects outlive the job.
  copy::CopyJob cpu_copy(std::span<const ObjectRef> objects, std::uint64_t skip_tokens) const {
    copy::CopyJob job;
    job.direction = kDirection;
    job.start_by = start_by();
    job.slices = objects.size();
    job.plan = [this, objects, skip_tokens](std::size_t slice, std::vector<copy::Run>& runs) {
      const ObjectRef& object = objects[slice];
      copy::plan_object(worker_->geometry, object.group, request_.block_ids,
                        object.chunk - range_->first, object.data, worker_->bases,
                        engine_.config().null_block_id, skip_tokens, runs);
    };
    return job;
  }

  wire::Bytes event_;
  Decoded request_;  // its tokens have moved into chain_, its views are not used
  Result<ChunkRange> range_;
  std::optional<ChainBuilder> chain_;
  InstancePtr worker_;
  bool copying_ = false;  ///< a GPU's copy is queued, and answered as if it had been made
  TransferMeter meter_;
  std::function<void()> finished_;
};

class Store final : public Transfer<copy::Direction::kStore, wire::StoreRequest>,
                    public std::enable_shared_from_this<Store> {
 public:
  using Transfer::Transfer;

  void run(std::function<void()> finished) override {
    finished_ = std::move(finished);
    if (const Status ok = check(); !ok) return end(ok);
    if (range_->count() == 0) return end({});
    auto ticket = engine_.cache().reserve(keyspace(), rank(), worker_->layout, chain_->hashes(),
                                          range_->first, wanted());
    if (!ticket) return end(ticket.error());
    ticket_ = std::move(*ticket);
    if (ticket_.objects().empty()) return end_with_others(worker_->memory ? wire::Bytes{} : event_);
    meter_.store_submitted(*worker_, ticket_.objects(), chain_->hashes());
    if (worker_->memory) return store_from_gpu();
    auto job = cpu_copy(ticket_.objects(), 0);
    job.done = [self = shared_from_this()](const Status& status) { self->copied(status); };
    engine_.copier().submit(std::move(job));
  }

 private:
  // Auxiliary groups are never served by a retrieve, so keeping them would only cost room.
  std::vector<std::vector<bool>> wanted() const {
    std::vector<std::vector<bool>> out;
    const Geometry& geometry = worker_->geometry;
    for (std::uint32_t group = 0; group < geometry.object_groups.size(); ++group) {
      if (geometry.object_groups[group].auxiliary) {
        out.emplace_back(range_->count(), false);
      } else {
        out.push_back(copy::storable_chunks(geometry, group, request_.block_ids, range_->count(),
                                            engine_.config().null_block_id));
      }
    }
    return out;
  }

  // Answered, and published before that, as soon as the copy is queued; the ticket keeps the
  // objects until it has ended.
  void store_from_gpu() {
    auto transfer = gpu_transfer(ticket_.objects(), 0);
    transfer.queued = [self = shared_from_this()](const Result<wire::Bytes>& event) {
      if (!event) return self->end(event.error());
      self->copying_ = true;
      self->engine_.cache().publish(self->ticket_);
      self->end_with_others(*event);
    };
    transfer.done = [self = shared_from_this(), worker = worker_](const Status& status) {
      self->meter_.store_ended(status.has_value(), self->keyspace(), self->rank(), *worker);
      StoreTicket ticket = std::move(self->ticket_);
      if (status) return;
      if (self->copying_) note_late_failure(*worker, status.error());
      self->engine_.cache().withdraw(std::move(ticket));
    };
    engine_.devices().submit(std::move(transfer));
  }

  // Published before the reply is sent: a lookup that starts after the reply sees it.
  void copied(const Status& status) {
    meter_.store_ended(status.has_value(), keyspace(), rank(), *worker_);
    if (!status) {
      ticket_ = StoreTicket{};
      return end(status);
    }
    engine_.cache().publish(ticket_);
    end_with_others(event_);
  }

  /// Where other stores have a part of the range and their copies still run, the range is stored
  /// when they have ended well: what is answered `true` must not vanish. The turn ends here:
  /// another engine may take its time, or hang.
  void end_with_others(const wire::Bytes& event) {
    const auto finished = std::exchange(finished_, nullptr);
    engine_.devices().when_settled(
        ticket_.others(), [this] { return ticket_.intact(); },
        [self = shared_from_this(), event](bool stored) {
          if (!self->worker_->memory) self->ticket_ = StoreTicket{};  // else its copy may still run
          if (stored) return self->end({}, event);
          self->end(Error{Cause::kCopyFailed, "another store of this prefix has failed"});
        });
    finished();
  }

  StoreTicket ticket_;
};

class Retrieve final : public Transfer<copy::Direction::kRetrieve, wire::RetrieveRequest>,
                       public std::enable_shared_from_this<Retrieve> {
 public:
  using Transfer::Transfer;

  void run(std::function<void()> finished) override {
    finished_ = std::move(finished);
    const Status ok = check();
    if (range_ && range_->count() == 0) return end(ok);
    // A request that is wrong in itself spends its leases all the same: the engine will not ask for
    // them again.
    if (!ok) {
      if (range_) spend();
      return end(ok);
    }
    auto pins =
        engine_.lookups().read(reader(), request_.key.request_id, keyspace(), chain_->hashes(),
                               range_->first, range_->last, Clock::now(), [&](const Lease& lease) {
                                 return engine_.cache().open_read(lease, rank(), worker_->layout,
                                                                  range_->first, range_->last);
                               });
    if (!pins) {
      TransferMeter::nothing_to_read(*worker_, range_->count());
      return end(pins.error());
    }
    pins_ = std::move(*pins);
    meter_.retrieve_submitted(*worker_, pins_.objects(), chain_->hashes());
    if (worker_->memory) return retrieve_to_gpu();
    // A GPU may still be writing what this CPU worker wants to read.
    engine_.devices().when_settled(
        pins_.objects(), [this] { return pins_.intact(); },
        [self = shared_from_this()](bool written) {
          if (written) return self->copy();
          self->copied(Error{Cause::kCopyFailed, "the store of this prefix has failed"});
        });
  }

 private:
  void copy() {
    auto job = cpu_copy(pins_.objects(), request_.skip_first_n_tokens);
    job.done = [self = shared_from_this()](const Status& status) { self->copied(status); };
    engine_.copier().submit(std::move(job));
  }

  // Answered when the copy is queued, which may have to wait for this engine and for the one that
  // stored it: the turn ends before. The objects stay pinned until the copy has ended.
  void retrieve_to_gpu() {
    auto transfer = gpu_transfer(pins_.objects(), request_.skip_first_n_tokens);
    transfer.intact = [self = shared_from_this()] { return self->pins_.intact(); };
    transfer.queued = [self = shared_from_this()](const Result<wire::Bytes>& event) {
      self->copying_ = event.has_value();
      if (event) return self->end({}, *event);
      self->end(event.error());
    };
    transfer.done = [self = shared_from_this(), worker = worker_](const Status& status) {
      self->meter_.retrieve_ended(status.has_value(), self->keyspace(), self->rank(), *worker,
                                  self->range_->count());
      self->pins_ = ReadPins{};
      if (!status && self->copying_) note_late_failure(*worker, status.error());
    };
    const auto finished = std::exchange(finished_, nullptr);
    engine_.devices().submit(std::move(transfer));
    finished();
  }

  [[nodiscard]] Lookups::Reader reader() const { return {peer_, request_.instance, rank()}; }

  void spend() {
    const auto spent = engine_.lookups().read(
        reader(), request_.key.request_id, keyspace(), chain_->hashes(), range_->first,
        range_->last, Clock::now(), [](const Lease&) -> Result<ReadPins> { return ReadPins{}; });
    static_cast<void>(spent);  // nothing was leased: nothing to spend
  }

  void copied(const Status& status) {
    meter_.retrieve_ended(status.has_value(), keyspace(), rank(), *worker_, range_->count());
    pins_ = ReadPins{};
    end(status);
  }

  ReadPins pins_;
};

}  // namespace

std::shared_ptr<Request> make_store(Engine& engine, Arrival arrival) {
  auto request = wire::decode_store(arrival.message, &engine.known_tokens());
  return make_decoded<Store>(engine, std::move(arrival), std::move(request));
}

std::shared_ptr<Request> make_retrieve(Engine& engine, Arrival arrival) {
  auto request = wire::decode_retrieve(arrival.message, &engine.known_tokens());
  return make_decoded<Retrieve>(engine, std::move(arrival), std::move(request));
}

}  // namespace lmcache::engine
