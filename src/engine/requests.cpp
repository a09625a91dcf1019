// Which request serves which operation.
#include "engine/prefix_requests.hpp"
#include "engine/request.hpp"
#include "engine/transfer_requests.hpp"
#include "engine/worker_requests.hpp"

namespace lmcache::engine {

std::shared_ptr<Request> make_request(Engine& engine, const wire::Operation& operation,
                                      Arrival arrival) {
  switch (operation.op) {
    case wire::Op::kRegisterKvCache:
      return make_register(engine, std::move(arrival));
    case wire::Op::kUnregisterKvCache:
      return make_unregister(engine, std::move(arrival));
    case wire::Op::kStore:
      return make_store(engine, std::move(arrival));
    case wire::Op::kRetrieve:
      return make_retrieve(engine, std::move(arrival));
    case wire::Op::kLookup:
      return make_lookup(engine, std::move(arrival));
    case wire::Op::kQueryPrefetchStatus:
      return make_query(engine, std::move(arrival));
    case wire::Op::kWaitPrefetchStatus:
      return make_wait(engine, std::move(arrival));
    case wire::Op::kFreeLookupLocks:
      return make_free(engine, std::move(arrival));
    case wire::Op::kEndSession:
      return make_end_session(engine, std::move(arrival));
    case wire::Op::kClear:
      return make_clear(engine, std::move(arrival));
    case wire::Op::kReportBlockAllocation:
      return acknowledge_allocation(std::move(arrival));
    default:
      arrival.responder.fail({Cause::kInternal, "a served operation has no request"});
      return nullptr;
  }
}

}  // namespace lmcache::engine
