#include "engine/responder.hpp"

#include "obs/counters.hpp"
#include "obs/metrics.hpp"
#include "wire/msgpack_writer.hpp"

namespace lmcache::engine {

using wire::FailureReply;
using wire::MsgpackWriter;

Responder::Responder(net::ReplySlot slot, wire::Bytes uid, wire::Bytes operation_frame,
                     const wire::Operation* operation, std::shared_ptr<const std::string> peer_name)
    : open_(new Open{std::move(slot), std::move(uid), std::move(operation_frame), operation,
                     std::move(peer_name)}) {}

Responder::~Responder() {
  if (open_) fail({Cause::kInternal, "the request was dropped unanswered"});
}

void Responder::queued() noexcept {
  open_->queued_at = std::chrono::steady_clock::now();
}

void Responder::begun() noexcept {
  if (open_) open_->begun_at = std::chrono::steady_clock::now();
}

obs::SecondsHistogram* Responder::count() const noexcept {
  const auto number = open_->operation ? static_cast<std::size_t>(open_->operation->op) : 0;
  auto& counts = obs::metrics().operations[number];
  counts.answered.add();
  if (open_->queued_at == Time{}) return nullptr;
  const auto seconds = [](Time from, Time to) {
    return std::chrono::duration<double>(to - from).count();
  };
  // What never had its turn (malformed, or tired of waiting) was all queue.
  const Time now = std::chrono::steady_clock::now();
  const Time begun_at = open_->begun_at == Time{} ? now : open_->begun_at;
  counts.queue.observe(seconds(open_->queued_at, begun_at));
  counts.work.observe(seconds(begun_at, now));
  return &counts.reply;
}

void Responder::send(wire::Bytes operation_frame, std::optional<wire::Bytes> payload) {
  obs::SecondsHistogram* const took = count();
  std::vector<wire::Bytes> frames;
  frames.reserve(3);
  frames.push_back(std::move(open_->uid));
  frames.push_back(std::move(operation_frame));
  if (payload) frames.push_back(std::move(*payload));
  const auto open = std::move(open_);
  open->slot.send(std::move(frames), took);
}

void Responder::none() {
  send(std::move(open_->operation_frame));
}

void Responder::boolean(bool value) {
  send(std::move(open_->operation_frame), std::move(MsgpackWriter().boolean(value)).take());
}

void Responder::integer(std::int64_t value) {
  send(std::move(open_->operation_frame), std::move(MsgpackWriter().integer(value)).take());
}

void Responder::string(std::string_view value) {
  send(std::move(open_->operation_frame), std::move(MsgpackWriter().string(value)).take());
}

void Responder::empty_list() {
  send(std::move(open_->operation_frame), std::move(MsgpackWriter().array(0)).take());
}

void Responder::transfer(wire::ByteView event, bool ok) {
  send(std::move(open_->operation_frame),
       std::move(MsgpackWriter().array(2).binary(event).boolean(ok)).take());
}

void Responder::fail(const Error& error, wire::ByteView event) {
  const wire::Operation* operation = open_->operation;
  obs::request_failed(operation ? operation->name : "unknown", error, *open_->peer_name);
  switch (operation ? operation->failure : FailureReply::kErrorText) {
    case FailureReply::kNone:
      return none();
    case FailureReply::kZero:
      return integer(0);
    case FailureReply::kFalsePair:
      return transfer(event, false);
    case FailureReply::kErrorText:
      break;
  }
  const std::string text =
      (operation ? std::string(operation->name) + ": " : std::string()) + error.text;
  send(std::move(MsgpackWriter().string(text)).take());
}

}  // namespace lmcache::engine
