#include "sim/generate.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <random>
#include <string>
#include <utility>

namespace lmcache::sim {
namespace {

using Blocks = std::vector<std::uint64_t>;

/// Something that sends requests one after the other: a conversation, a branch, a document.
struct Source {
  Blocks history;
  std::uint32_t requests_left = 0;
  std::uint32_t tenant = 0;
};

class Generator {
 public:
  explicit Generator(const TraceOptions& options) : options_(options), random_(options.seed) {
    for (int i = 0; i < kSystemPrompts; ++i) system_prompts_.push_back(fresh(between(2, 12)));
  }

  Trace chat() {
    return run([&] { return conversation(); }, [&](Source& source) { next_turn(source); });
  }

  Trace agents() {
    return run([&] { return task(); },
               [&](Source& source) {
                 // A step sees a tool's result; now and then two plans are followed from here.
                 if (between(1, 100) <= 30 && source.requests_left > 1) pending_.push_back(source);
                 append(source.history, between(1, 4));
               });
  }

  Trace documents() {
    return run([&] { return document(); },
               [&](Source& source) {
                 source.history.resize(source.history.size() - question_);
                 append(source.history, question_);
               });
  }

  Trace scans() {
    return run(
        [&] {
          // Conversations are some 40 blocks a turn, of which a scan is one turn of 120.
          return between(1, 100) <= 55 ? Source{fresh(between(60, 180)), 1, some_tenant()}
                                       : conversation();
        },
        [&](Source& source) { next_turn(source); });
  }

 private:
  static constexpr int kSystemPrompts = 12;

  /// Uniform in [low, high].
  std::uint32_t between(std::uint32_t low, std::uint32_t high) {
    return low + static_cast<std::uint32_t>(random_() % (high - low + 1));
  }
  /// How often heads before tails, at 1/mean each, at least 1.
  std::uint32_t geometric(std::uint32_t mean, std::uint32_t most) {
    std::uint32_t n = 1;
    while (n < most && between(1, mean) != 1) ++n;
    return n;
  }
  /// The first few of `count` are much more likely than the last (about 1/rank).
  std::uint32_t popular(std::uint32_t count) {
    const std::uint32_t a = between(0, count - 1);
    return between(0, a);
  }
  void append(Blocks& blocks, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) blocks.push_back(next_block_++);
  }
  Blocks fresh(std::uint32_t count) {
    Blocks blocks;
    append(blocks, count);
    return blocks;
  }
  std::uint32_t some_tenant() { return between(0, options_.tenants - 1); }

  Source conversation() {
    Source source{system_prompts_[popular(kSystemPrompts)], geometric(8, 40), some_tenant()};
    append(source.history, between(1, 8));
    return source;
  }
  /// The answer, and the next message.
  void next_turn(Source& source) { append(source.history, between(1, 3) + between(1, 3)); }
  Source task() {
    Source source{system_prompts_[popular(4)], geometric(10, 30), some_tenant()};
    append(source.history, between(8, 40));
    return source;
  }
  Source document() {
    Source source{fresh(between(40, 250)), geometric(6, 30), some_tenant()};
    append(source.history, question_);
    return source;
  }

  /// `options_.active` sources at a time, each sending after a pause of its own.
  template <class Make, class GoOn>
  Trace run(const Make& make, const GoOn& go_on) {
    struct Event {
      std::uint64_t at;
      std::uint64_t number;
      Source source;
      bool operator<(const Event& other) const {
        return std::pair(at, number) > std::pair(other.at, other.number);
      }
    };
    std::priority_queue<Event> events;
    std::uint64_t number = 0;
    // By default people and tools mostly come back soon, and now and then after minutes: up to 8.5.
    const auto pause = [&] {
      return std::uint64_t{between(options_.pause_ms, 2 * options_.pause_ms)}
             << between(0, options_.pause_doublings - 1);
    };
    for (std::uint32_t i = 0; i < options_.active; ++i) events.push({pause(), number++, make()});
    Trace trace;
    while (trace.size() < options_.requests) {
      Event event = events.top();
      events.pop();
      trace.push_back(request(event.at, event.source));
      if (--event.source.requests_left > 0) {
        go_on(event.source);
        for (Source& branch : pending_)
          events.push({event.at + pause(), number++, std::move(branch)});
        pending_.clear();
        events.push({event.at + pause(), number++, std::move(event.source)});
      } else if (events.size() < options_.active) {
        events.push({event.at + pause(), number++, make()});
      }
    }
    return trace;
  }

  TraceRequest request(std::uint64_t at, const Source& source) {
    TraceRequest out;
    out.timestamp_ms = at;
    out.blocks = source.history;
    // The last block is partly filled.
    out.input_tokens = static_cast<std::uint32_t>(source.history.size() - 1) * kTraceBlockTokens +
                       between(1, kTraceBlockTokens);
    out.output_tokens = between(50, 1000);
    if (options_.tenants > 1) out.salt = "tenant" + std::to_string(source.tenant);
    return out;
  }

  const TraceOptions& options_;
  std::mt19937_64 random_;
  std::vector<Blocks> system_prompts_;
  std::vector<Source> pending_;  ///< branches that the last request made
  std::uint64_t next_block_ = 0;
  std::uint32_t question_ = 1;  ///< blocks
};

}  // namespace

std::string_view workload_names() noexcept {
  return "chat, agents, documents, scans";
}

Result<Trace> generate_trace(const TraceOptions& options) {
  if (options.pause_ms == 0 || options.pause_ms > UINT32_MAX / 2 || options.pause_doublings == 0 ||
      options.pause_doublings > kMostPauseDoublings)
    return Error{Cause::kMalformed, "pauses are at least a millisecond and at most 20 doublings"};
  Generator generator(options);
  if (options.workload == "chat") return generator.chat();
  if (options.workload == "agents") return generator.agents();
  if (options.workload == "documents") return generator.documents();
  if (options.workload == "scans") return generator.scans();
  return Error{Cause::kMalformed, "no workload is called '" + std::string(options.workload) +
                                      "'; there are " + std::string(workload_names())};
}

}  // namespace lmcache::sim
