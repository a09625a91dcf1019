// `lmcache top`: asks a server at intervals and shows what has happened in between.
#include "commands/command.hpp"
#include "commands/json_path.hpp"
#include "commands/screen.hpp"
#include "commands/stop_signals.hpp"
#include "commands/top_view.hpp"

#include <map>
#include <optional>

namespace lmcache::commands {
namespace {

using boost::beast::http::verb;
using Clock = std::chrono::steady_clock;

struct Look {
  Clock::time_point at;
  Scrape scrape;
  Subject subject;
};

/// `from` is a GPU or a worker as /status has it: its bytes become samples of `metric`.
void add_bytes(const Json& from, std::string_view metric,
               const std::map<std::string, std::string, std::less<>>& labels,
               std::vector<Sample>& samples) {
  for (const auto& [direction, key] :
       {std::pair{"store", "stored_bytes"}, std::pair{"retrieve", "retrieved_bytes"}}) {
    Sample sample{std::string(metric), labels, number(at(from, {key}))};
    sample.labels.emplace("direction", direction);
    samples.push_back(std::move(sample));
  }
}

/// What GPUs and what single workers have moved is in /status only; from here on it is a metric
/// like the bytes of the copy threads.
void add_moved_bytes(const Json& status, std::vector<Sample>& samples) {
  for (const Json& gpu : at(status, {"gpus"})) add_bytes(gpu, kCopiedBytes, {}, samples);
  const Json workers = at(status, {"cache_context_meta"});
  for (const auto& [id, worker] : workers.items()) {
    const Json model = at(worker, {"model_name"});
    add_bytes(
        worker, kEngineBytes,
        {{"engine_id", id}, {"model_name", model.is_string() ? model.get<std::string>() : ""}},
        samples);
  }
}

Result<Look> look(const Target& target) {
  Look out;
  const auto status = target.json(verb::get, "/status");
  if (!status) return status.error();
  const auto page = target.text("/metrics", "application/openmetrics-text");
  out.at = Clock::now();
  if (!page) return page.error();
  auto samples = parse_exposition(*page);
  if (!samples) return Error{Cause::kMalformed, target.endpoint.url + ": " + samples.error().text};
  add_moved_bytes(*status, *samples);
  out.scrape = Scrape(*samples);
  const Json policy = at(*status, {"storage_manager", "l1_eviction_controller", "eviction_policy"});
  out.subject = {target.endpoint.url, policy.is_string() ? policy.get<std::string>() : "",
                 at(*status, {"is_healthy"}) == true};
  return Result<Look>(std::move(out));
}

}  // namespace

Result<Outcome> top(const Target& target, const TopOptions& options, std::ostream& out) {
  const StopSignals signals;
  std::optional<Screen> screen;
  auto before = look(target);
  if (!before) return before.error();
  if (!options.json && !options.once && Screen::available()) {
    screen.emplace();
    screen->draw(as_text(before->subject, state_of(before->scrape)));
  }
  const std::uint64_t last = options.once ? 1 : options.iterations;
  for (std::uint64_t i = 0; last == 0 || i < last; ++i) {
    if (signals.wait_for(std::chrono::duration<double>(options.interval_seconds))) break;
    auto after = look(target);
    if (!after) return after.error();
    const std::chrono::duration<double> passed = after->at - before->at;
    const Activity activity = activity_between(before->scrape, after->scrape, passed.count());
    if (screen) {
      screen->draw(as_text(after->subject, activity));
    } else if (options.json) {
      out << as_json(after->subject, activity).dump(-1, ' ', false, Json::error_handler_t::replace)
          << std::endl;
    } else {
      out << as_text(after->subject, activity) << std::endl;
    }
    if (!out) break;  // a full disk; whoever called says so
    before = std::move(after);
  }
  Outcome outcome{Report("Top")};
  outcome.printed = true;
  return outcome;
}

}  // namespace lmcache::commands
