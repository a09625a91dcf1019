// The decoders of requests and descriptors: the first byte picks the operation, then frames behind
// two-byte lengths, as many as the dispatcher would let through.
#include "wire/requests.hpp"

#include "fuzz/input.hpp"
#include "wire/operations.hpp"

namespace {

using namespace lmcache;
using fuzz::require;

/// Every failure is of a kind a request can cause, and says something.
template <class T>
bool check(const Result<T>& decoded) {
  if (decoded) return true;
  const Error& error = decoded.error();
  require(!error.text.empty());
  require(error.cause == Cause::kMalformed || error.cause == Cause::kBadRange ||
          error.cause == Cause::kBadSegment);
  return false;
}

void check_key(const wire::Key& key) {
  require(key.keyspace.world_size >= 1 && key.keyspace.world_size <= wire::kWorldSizeMax);
  require(!key.worker_id || *key.worker_id < key.keyspace.world_size);
  require(key.num_kv_readers >= 1 && key.num_kv_readers <= wire::kReadersMax);
  require(key.tokens->size() <= wire::kTokensMax && key.request_id.size() <= wire::kNameBytesMax);
}

void check_descriptor(const wire::Descriptor& descriptor) {
  require(descriptor.shape.size() == descriptor.stride.size() && descriptor.storage_offset >= 0);
  for (std::size_t i = 0; i < descriptor.shape.size(); ++i) {
    require(descriptor.shape[i] >= 0 && descriptor.stride[i] >= 0);
  }
  check(wire::span_bytes(descriptor, 8));
}

void decode(const wire::Operation& operation, const wire::Message& message) {
  const wire::ByteView first = message.frame(wire::kFirstPayload);
  switch (operation.op) {
    case wire::Op::kRegisterKvCache:
      if (const auto r = wire::decode_register(message); check(r)) {
        for (const auto& tensor : r->tensors) check_descriptor(tensor);
      }
      break;
    case wire::Op::kStore:
      if (const auto r = wire::decode_store(message); check(r)) check_key(r->key);
      break;
    case wire::Op::kRetrieve:
      if (const auto r = wire::decode_retrieve(message); check(r)) check_key(r->key);
      break;
    case wire::Op::kLookup:
    case wire::Op::kFreeLookupLocks:
      if (const auto r = wire::decode_key(first); check(r)) check_key(*r);
      break;
    case wire::Op::kWaitPrefetchStatus:
      if (const auto r = wire::decode_wait(message); check(r)) {
        require(r->timeout.count() >= 0 && r->timeout <= std::chrono::hours(24));
      }
      break;
    case wire::Op::kReportBlockAllocation:
      check(wire::check_block_allocation(message));
      break;
    case wire::Op::kQueryPrefetchStatus:
    case wire::Op::kEndSession:
      check(wire::decode_request_id(first));
      break;
    case wire::Op::kClear:
      check(wire::decode_bool(first));
      break;
    case wire::Op::kPing:
      check(wire::decode_optional_instance(first));
      break;
    default:
      if (const auto r = wire::decode_descriptor(first); check(r)) check_descriptor(*r);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto operations = wire::all_operations();
  const wire::Operation& operation =
      operations[input.below(static_cast<unsigned>(operations.size()))];
  wire::Message message;
  message.close_frame();
  message.close_frame();
  for (unsigned i = 0; i < std::max<unsigned>(1, operation.payload_frames); ++i) {
    const wire::ByteView frame = input.sized();
    message.body().insert(message.body().end(), frame.begin(), frame.end());
    message.close_frame();
  }
  decode(operation, message);
  const wire::Operation* named = wire::find_operation(message.frame(wire::kFirstPayload));
  require(named == nullptr || !named->name.empty());
  return 0;
}
