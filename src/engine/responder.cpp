#include "engine/responder.hpp"

#include "obs/clean_text.hpp"
#include "obs/counters.hpp"
#include "obs/metrics.hpp"
#include "wire/msgpack_writer.hpp"

#include <array>

namespace lmcache::engine {

using wire::FailureReply;
using wire::MsgpackWriter;

Responder::Responder(net::ReplySlot slot, wire::ByteView uid, wire::ByteView operation_frame,
                     const wire::Operation* operation, std::shared_ptr<const std::string> peer_name)
    : slot_(std::move(slot)),
      uid_(uid.begin(), uid.end()),
      operation_frame_(operation_frame.begin(), operation_frame.end()),
      operation_(operation),
      peer_name_(std::move(peer_name)) {}

Responder::~Responder() {
  if (!slot_) return;
  try {
    fail({Cause::kInternal, "the request was dropped unanswered"});
  } catch (const std::exception&) {
    discard();  // there is no memory even for that
  }
}

void Responder::queued() noexcept {
  queued_at_ = std::chrono::steady_clock::now();
}

void Responder::begun() noexcept {
  begun_at_ = std::chrono::steady_clock::now();
}

obs::SecondsHistogram* Responder::count() const noexcept {
  const auto number = operation_ ? static_cast<std::size_t>(operation_->op) : 0;
  auto& counts = obs::metrics().operations[number];
  counts.answered.add();
  if (queued_at_ == Time{}) return nullptr;
  const auto seconds = [](Time from, Time to) {
    return std::chrono::duration<double>(to - from).count();
  };
  // What never had its turn (malformed, or tired of waiting) was all queue.
  const Time now = std::chrono::steady_clock::now();
  const Time begun_at = begun_at_ == Time{} ? now : begun_at_;
  counts.queue.observe(seconds(queued_at_, begun_at));
  counts.work.observe(seconds(begun_at, now));
  return &counts.reply;
}

void Responder::send(wire::FrameViews frames) {
  obs::SecondsHistogram* const took = count();
  slot_.send(frames, took);
}

void Responder::answer(const MsgpackWriter& payload) {
  send(std::array{wire::ByteView{uid_}, wire::ByteView{operation_frame_}, payload.view()});
}

void Responder::none() {
  send(std::array{wire::ByteView{uid_}, wire::ByteView{operation_frame_}});
}

void Responder::boolean(bool value) {
  answer(MsgpackWriter().boolean(value));
}

void Responder::integer(std::int64_t value) {
  answer(MsgpackWriter().integer(value));
}

void Responder::string(std::string_view value) {
  answer(MsgpackWriter().string(value));
}

void Responder::empty_list() {
  answer(MsgpackWriter().array(0));
}

void Responder::transfer(wire::ByteView event, bool ok) {
  answer(MsgpackWriter().array(2).binary(event).boolean(ok));
}

void Responder::fail(const Error& error, wire::ByteView event) {
  const wire::Operation* operation = operation_;
  obs::request_failed(operation ? operation->name : "unknown", error, *peer_name_);
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
  // Printable: what a peer has put into it need not be UTF-8, and would not be decoded then.
  constexpr std::size_t kTextMax = 2048;
  const std::string text = obs::clean_text(
      (operation ? std::string(operation->name) + ": " : std::string()) + error.text, kTextMax);
  MsgpackWriter refusal;
  refusal.string(text);
  send(std::array{wire::ByteView{uid_}, refusal.view()});
}

}  // namespace lmcache::engine
