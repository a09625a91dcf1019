#include "engine/responder.hpp"

#include "obs/clean_text.hpp"
#include "obs/counters.hpp"
#include "obs/metrics.hpp"
#include "wire/msgpack_writer.hpp"

#include <algorithm>
#include <array>

namespace lmcache::engine {

using wire::FailureReply;
using wire::MsgpackWriter;

Responder::Responder(net::ReplySlot slot, const wire::Message& request,
                     const wire::Operation* operation)
    : slot_(std::move(slot)), uid_bytes_(request.frame(0).size()), operation_(operation) {
  const wire::ByteView head = request.head(std::min<std::size_t>(request.frame_count(), 2));
  head_.assign(head.begin(), head.end());
}

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

wire::ByteView Responder::uid() const noexcept {
  return wire::ByteView{head_.data(), head_.size()}.first(uid_bytes_);
}

wire::ByteView Responder::operation_frame() const noexcept {
  return wire::ByteView{head_.data(), head_.size()}.subspan(uid_bytes_);
}

void Responder::answer(const MsgpackWriter& payload) {
  send(std::array{uid(), operation_frame(), payload.view()});
}

void Responder::none() {
  send(std::array{uid(), operation_frame()});
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
  obs::request_failed(operation ? operation->name : "unknown", error, slot_.peer_name());
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
  send(std::array{uid(), refusal.view()});
}

}  // namespace lmcache::engine
