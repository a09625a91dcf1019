#include "engine/worker_requests.hpp"

#include "engine/engine.hpp"
#include "obs/log.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace lmcache::engine {
namespace {

LayoutPtr make_layout(const Geometry& geometry) {
  auto layout = std::make_shared<ObjectLayout>();
  layout->fingerprint = geometry.fingerprint;
  for (const ObjectGroup& group : geometry.object_groups) {
    layout->groups.push_back({group.bytes, group.window_chunks, group.auxiliary});
  }
  return layout;
}

class Register final : public AnsweredRequest, public std::enable_shared_from_this<Register> {
 public:
  Register(Engine& engine, Arrival arrival, wire::RegisterRequest request)
      : AnsweredRequest(engine, arrival), request_(std::move(request)) {}

  std::vector<OrderKey> keys() const override { return {request_.instance}; }

  void run(std::function<void()> finished) override {
    finished_ = std::move(finished);
    instance_->id = request_.instance;
    instance_->model = request_.model;
    instance_->world_size = request_.world_size;
    if (!engine_.instances().may_register(peer_, request_.instance)) {
      return settle(
          Error{Cause::kNoMemory,
                "this connection has " + std::to_string(Instances::kRegistrationsPerPeer) +
                    " workers, the most there may be; unregister some, or use another connection"});
    }
    if (!on_gpu()) return settle(map_segments());
    engine_.devices().open(
        tensors(), [self = shared_from_this()](Result<gpu::OpenedTensors> opened) {
          boost::asio::post(self->engine_.threads(), [self, opened = std::move(opened)]() mutable {
            self->settle(self->take(std::move(opened)));
          });
        });
  }

 private:
  [[nodiscard]] bool on_gpu() const {
    return !request_.tensors.empty() &&
           !std::holds_alternative<wire::CpuShmMemory>(request_.tensors.front().memory);
  }

  [[nodiscard]] std::vector<wire::Descriptor> tensors() const {
    return {request_.tensors.begin(), request_.tensors.end()};
  }

  // The table is settled before the reply is sent: the client's next ping sees it.
  void settle(Status opened) {
    if (opened) opened = build();
    if (opened) {
      warn_if_ambiguous(*instance_);
      log(*instance_);
      const InstancePtr replaced =
          engine_.instances().put(peer_, std::move(instance_), Clock::now());
      if (replaced && replaced->memory) engine_.devices().release(replaced->memory);
    }
    engine_.instances().forget_announced(peer_, request_.instance);
    if (opened) {
      responder_.none();
    } else {
      responder_.fail(opened.error());
    }
    std::exchange(finished_, nullptr)();
  }

  /// What the descriptor says of the view, and what we have measured of the memory behind it.
  static Result<TensorDesc> view(const wire::Descriptor& descriptor, std::uint64_t claimed,
                                 std::uint64_t measured) {
    TensorDesc tensor;
    tensor.dtype = descriptor.dtype;
    tensor.shape = descriptor.shape;
    tensor.stride = descriptor.stride;
    tensor.storage_offset = descriptor.storage_offset;
    tensor.segment_bytes = measured;
    const auto item = dtype_bytes(descriptor.dtype);
    if (item == 0)
      return Error{Cause::kBadGeometry,
                   "tensor of unknown dtype " + descriptor.dtype.substr(0, 64)};
    const auto span = wire::span_bytes(descriptor, item);
    if (!span) return span.error();
    if (*span > claimed) {
      return Error{Cause::kBadSegment, "a tensor's view needs " + std::to_string(*span) +
                                           " bytes of a segment of " + std::to_string(claimed)};
    }
    return tensor;
  }

  Status map_segments() {
    for (const wire::Descriptor& descriptor : request_.tensors)
      if (Status mapped = map_segment(descriptor); !mapped) return mapped;
    return {};
  }

  // The segment's true size is the limit of the view whatever the descriptor claims.
  Status map_segment(const wire::Descriptor& descriptor) {
    const auto* memory = std::get_if<wire::CpuShmMemory>(&descriptor.memory);
    if (!memory) return Error{Cause::kBadSegment, "a tensor on a GPU among CPU tensors"};
    auto tensor = view(descriptor, memory->nbytes, 0);
    if (!tensor) return tensor.error();
    copy::SegmentPtr segment;
    if (memory->nbytes > 0) {
      auto opened = engine_.segments().open(memory->shm_name, memory->nbytes);
      if (!opened) return opened.error();
      segment = std::move(*opened);
      tensor->segment_bytes = std::min(segment->bytes(), memory->nbytes);
    }
    instance_->bases.push_back(segment ? segment->base() : nullptr);
    instance_->segments.push_back(std::move(segment));
    tensors_.push_back(std::move(*tensor));
    return {};
  }

  Status take(Result<gpu::OpenedTensors> opened) {
    if (!opened) return opened.error();
    for (std::size_t i = 0; i < request_.tensors.size(); ++i) {
      auto tensor = view(request_.tensors[i], opened->bytes[i], opened->bytes[i]);
      if (!tensor) return tensor.error();
      tensors_.push_back(std::move(*tensor));
    }
    instance_->bases = std::move(opened->bases);
    instance_->memory = std::move(opened->memory);
    return {};
  }

  Status build() {
    GeometryOptions options;
    options.chunk_tokens = engine_.config().chunk_size;
    options.separate_object_groups = engine_.config().separate_object_groups;
    options.cpu_tensors = !on_gpu();
    auto geometry =
        build_geometry(tensors_, request_.engine, request_.hints, request_.groups, options);
    if (!geometry) return geometry.error();
    instance_->geometry = std::move(*geometry);
    instance_->layout = make_layout(instance_->geometry);
    return instance_->memory ? engine_.devices().check(instance_->geometry) : Status{};
  }

  void log(const Instance& instance) const {
    obs::log_event(obs::Level::kInfo, "worker registered",
                   {{"instance", instance.id},
                    {"model", instance.model},
                    {"world_size", instance.world_size},
                    {"kernel_groups", instance.geometry.kernel_groups.size()},
                    {"object_groups", instance.geometry.object_groups.size()},
                    {"tensors", instance.bases.size()}});
  }

  // A lookup names a model, not a worker: with two geometries under one name it reports the longer
  // hit, and the other's retrieve fails.
  void warn_if_ambiguous(const Instance& instance) {
    const auto known =
        engine_.instances().layouts(instance.model, instance.world_size, instance.id);
    const bool other = std::any_of(known.begin(), known.end(), [&](const LayoutPtr& layout) {
      return layout->fingerprint != instance.layout->fingerprint;
    });
    if (!other) return;
    obs::log_event(obs::Level::kWarn,
                   "workers of one model name differ in geometry; they will not share chunks "
                   "(expected only for pipeline stages)",
                   {{"model", instance.model}, {"world_size", instance.world_size}});
  }

  const wire::RegisterRequest request_;
  std::shared_ptr<Instance> instance_ = std::make_shared<Instance>();
  std::vector<TensorDesc> tensors_;
  std::function<void()> finished_;
};

class Unregister final : public AnsweredRequest {
 public:
  Unregister(Engine& engine, Arrival arrival, wire::InstanceId instance)
      : AnsweredRequest(engine, arrival), instance_(instance) {}

  std::vector<OrderKey> keys() const override { return {instance_}; }

  void run(std::function<void()> finished) override {
    const InstancePtr gone = engine_.instances().remove(instance_);
    if (gone && gone->memory) engine_.devices().release(gone->memory);
    obs::log_event(gone ? obs::Level::kInfo : obs::Level::kDebug,
                   gone ? "worker unregistered" : "unregister of an unknown worker",
                   {{"instance", instance_}});
    responder_.none();
    finished();
  }

 private:
  wire::InstanceId instance_;
};

/// Millions of chunks take seconds, in which the thread also serves others.
class Clear final : public AnsweredRequest, public std::enable_shared_from_this<Clear> {
 public:
  Clear(Engine& engine, Arrival arrival, bool force)
      : AnsweredRequest(engine, arrival), force_(force), pause_(engine.threads()) {}

  std::vector<OrderKey> keys() const override { return {}; }

  void run(std::function<void()> finished) override {
    finished_ = std::move(finished);
    clearing_.emplace(engine_.cache().begin_clear(force_));
    step();
  }

 private:
  void step() {
    if (!clearing_->step()) {
      pause_.expires_after(Clearing::kPause);
      pause_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
        if (!error) self->step();
      });
      return;
    }
    obs::log_event(obs::Level::kInfo, "cache cleared", {{"force", force_}});
    responder_.none();
    std::exchange(finished_, nullptr)();
  }

  bool force_;
  boost::asio::steady_timer pause_;
  std::optional<Clearing> clearing_;
  std::function<void()> finished_;
};

}  // namespace

std::shared_ptr<Request> make_register(Engine& engine, Arrival arrival) {
  auto request = wire::decode_register(arrival.message);
  if (!request) {
    // Announced when it arrived, though it will never be.
    const auto id = wire::decode_instance(arrival.message.frame(wire::kFirstPayload));
    if (id) engine.instances().forget_announced(arrival.peer, *id);
  }
  return make_decoded<Register>(engine, std::move(arrival), std::move(request));
}

std::shared_ptr<Request> make_unregister(Engine& engine, Arrival arrival) {
  auto instance = wire::decode_instance(arrival.message.frame(wire::kFirstPayload));
  return make_decoded<Unregister>(engine, std::move(arrival), std::move(instance));
}

std::shared_ptr<Request> acknowledge_allocation(Arrival arrival) {
  const Status ok = wire::check_block_allocation(arrival.message);
  if (ok) {
    arrival.responder.none();
  } else {
    arrival.responder.fail(ok.error());
  }
  return nullptr;
}

std::shared_ptr<Request> make_clear(Engine& engine, Arrival arrival) {
  auto force = wire::decode_bool(arrival.message.frame(wire::kFirstPayload));
  return make_decoded<Clear>(engine, std::move(arrival), std::move(force));
}

}  // namespace lmcache::engine
