#include "engine/worker_requests.hpp"

#include "engine/engine.hpp"
#include "obs/log.hpp"

#include <algorithm>

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

class Register final : public AnsweredRequest {
 public:
  Register(Engine& engine, Arrival arrival, wire::RegisterRequest request)
      : AnsweredRequest(engine, arrival), request_(std::move(request)) {}

  std::vector<OrderKey> keys() const override { return {request_.instance}; }

  // The table is settled before the reply is sent: the client's next ping sees it.
  void run(std::function<void()> finished) override {
    auto instance = open();
    InstancePtr replaced;
    if (instance) {
      warn_if_ambiguous(**instance);
      log(**instance);
      replaced = engine_.instances().put(peer_, std::move(*instance), Clock::now());
    }
    engine_.instances().forget_announced(peer_, request_.instance);
    if (instance) {
      responder_.none();
    } else {
      responder_.fail(instance.error());
    }
    finished();
  }

 private:
  // The memory behind a tensor, mapped; its true size is the limit of the view whatever the
  // descriptor claims.
  Status map_tensor(const wire::Descriptor& descriptor, Instance& instance,
                    std::vector<TensorDesc>& tensors) {
    const auto* memory = std::get_if<wire::CpuShmMemory>(&descriptor.memory);
    if (!memory) {
      return Error{Cause::kBadSegment,
                   "tensor on device " + descriptor.device_uuid.substr(0, 64) +
                       ": this server copies CPU tensors in shared memory only"};
    }
    TensorDesc tensor;
    tensor.dtype = descriptor.dtype;
    tensor.shape = descriptor.shape;
    tensor.stride = descriptor.stride;
    tensor.storage_offset = descriptor.storage_offset;
    const auto item = dtype_bytes(descriptor.dtype);
    if (item == 0)
      return Error{Cause::kBadGeometry,
                   "tensor of unknown dtype " + descriptor.dtype.substr(0, 64)};
    const auto span = wire::span_bytes(descriptor, item);
    if (!span) return span.error();
    if (*span > memory->nbytes) {
      return Error{Cause::kBadSegment, "a tensor's view needs " + std::to_string(*span) +
                                           " bytes of a segment of " +
                                           std::to_string(memory->nbytes)};
    }
    copy::SegmentPtr segment;
    if (memory->nbytes > 0) {
      auto opened = engine_.segments().open(memory->shm_name, memory->nbytes);
      if (!opened) return opened.error();
      segment = std::move(*opened);
      tensor.segment_bytes = std::min(segment->bytes(), memory->nbytes);
    }
    instance.bases.push_back(segment ? segment->base() : nullptr);
    instance.segments.push_back(std::move(segment));
    tensors.push_back(std::move(tensor));
    return {};
  }

  Result<std::shared_ptr<Instance>> open() {
    auto instance = std::make_shared<Instance>();
    instance->id = request_.instance;
    instance->model = request_.model;
    instance->world_size = request_.world_size;
    std::vector<TensorDesc> tensors;
    for (const wire::Descriptor& descriptor : request_.tensors) {
      if (const Status mapped = map_tensor(descriptor, *instance, tensors); !mapped)
        return mapped.error();
    }
    GeometryOptions options;
    options.chunk_tokens = engine_.config().chunk_size;
    options.separate_object_groups = engine_.config().separate_object_groups;
    auto geometry =
        build_geometry(tensors, request_.engine, request_.hints, request_.groups, options);
    if (!geometry) return geometry.error();
    instance->geometry = std::move(*geometry);
    instance->layout = make_layout(instance->geometry);
    return instance;
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

  wire::RegisterRequest request_;
};

class Unregister final : public AnsweredRequest {
 public:
  Unregister(Engine& engine, Arrival arrival, wire::InstanceId instance)
      : AnsweredRequest(engine, arrival), instance_(instance) {}

  std::vector<OrderKey> keys() const override { return {instance_}; }

  void run(std::function<void()> finished) override {
    const InstancePtr gone = engine_.instances().remove(instance_);
    obs::log_event(gone ? obs::Level::kInfo : obs::Level::kDebug,
                   gone ? "worker unregistered" : "unregister of an unknown worker",
                   {{"instance", instance_}});
    responder_.none();
    finished();
  }

 private:
  wire::InstanceId instance_;
};

class Clear final : public AnsweredRequest {
 public:
  Clear(Engine& engine, Arrival arrival, bool force)
      : AnsweredRequest(engine, arrival), force_(force) {}

  std::vector<OrderKey> keys() const override { return {}; }

  void run(std::function<void()> finished) override {
    engine_.cache().clear(force_);
    obs::log_event(obs::Level::kInfo, "cache cleared", {{"force", force_}});
    responder_.none();
    finished();
  }

 private:
  bool force_;
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
