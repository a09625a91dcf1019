#include "obs/log.hpp"

#include "obs/clean_text.hpp"
#include "obs/line_queue.hpp"
#include "obs/queued_sink.hpp"
#include "obs/rate_limit.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace lmcache::obs {
namespace {

struct LevelName {
  std::string_view name;
  std::string_view padded;  ///< five wide, so that messages line up
  spdlog::level::level_enum spdlog;
};
constexpr std::array<LevelName, 4> kLevels{{{"debug", "DEBUG", spdlog::level::debug},
                                            {"info", "INFO ", spdlog::level::info},
                                            {"warn", "WARN ", spdlog::level::warn},
                                            {"error", "ERROR", spdlog::level::err}}};

const LevelName& names_of(Level level) {
  return kLevels[static_cast<std::size_t>(level)];
}

/// log_event()'s limit, by message.
class EventLimits {
 public:
  explicit EventLimits(RateLimit::Clock::duration interval) : interval_(interval) {}

  std::optional<std::uint64_t> admit(std::string_view message, RateLimit::Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    auto row = rows_.find(message);
    if (row == rows_.end()) {
      if (rows_.size() >= kMaxRows) message = {};
      row = rows_.try_emplace(std::string(message), interval_, kLogBurst).first;
    }
    return row->second.admit(now);
  }

 private:
  static constexpr std::size_t kMaxRows = 256;  // several times what there is; others share one
  const RateLimit::Clock::duration interval_;
  std::mutex mutex_;  // guards rows_; innermost, held for a few map steps
  std::map<std::string, RateLimit, std::less<>> rows_;
};

struct Log {
  LogOptions options;
  std::unique_ptr<EventLimits> limits;
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<QueuedSink> queued;  ///< nullptr: lines are written by whoever logs them
};

Log make_log(const LogOptions& options, std::ostream* out, std::shared_ptr<QueuedSink> queued) {
  spdlog::sink_ptr sink = queued;
  if (out != nullptr) {
    sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(*out, true);
  } else if (!sink) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  // spdlog adds the time; the rest of the line is ours, because its JSON would not be escaped.
  const char* pattern = options.format == LogFormat::kJson ? R"({"ts":"%Y-%m-%dT%H:%M:%S.%eZ",%v)"
                                                           : "%Y-%m-%dT%H:%M:%S.%eZ %v";
  sink->set_formatter(
      std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc, "\n"));
  auto logger = std::make_shared<spdlog::logger>("lmcache", std::move(sink));
  logger->set_level(names_of(options.level).spdlog);
  return {options, std::make_unique<EventLimits>(options.limit_interval), std::move(logger),
          std::move(queued)};
}

Log& current() {
  // Never destroyed: threads log until the process has ended.
  static Log& log = *new Log(make_log({}, nullptr, nullptr));
  return log;
}

// Once per process. In abort() other threads still run, the one that writes among them.
void finish_log_at_the_end() {
  [[maybe_unused]] static const bool once = [] {
    std::atexit([] { finish_log(); });
    std::signal(SIGABRT, [](int) { finish_log(); });
    return true;
  }();
}

void append_text_value(std::string& line, const Field::Value& value) {
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    const std::string clean = clean_text(*text);
    if (!clean.empty() && clean.find_first_of(" =\"\\") == std::string::npos) {
      line += clean;
      return;
    }
    line += '"';
    for (const char c : clean) {
      if (c == '"' || c == '\\') line += '\\';
      line += c;
    }
    line += '"';
  } else {
    std::visit([&](const auto& plain) { line += nlohmann::json(plain).dump(); }, value);
  }
}

std::string text_line(Level level, std::string_view message, std::span<const Field> fields) {
  std::string line{names_of(level).padded};
  line += ' ';
  line += clean_text(message);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_text_value(line, field.value);
  }
  return line;
}

std::string json_line(Level level, std::string_view message, std::span<const Field> fields) {
  nlohmann::ordered_json object;
  object["level"] = names_of(level).name;
  object["msg"] = clean_text(message);
  for (const Field& field : fields) {
    auto& place = object[std::string(field.key)];
    if (const auto* text = std::get_if<std::string_view>(&field.value)) {
      place = clean_text(*text);
    } else {
      std::visit([&](const auto& plain) { place = plain; }, field.value);
    }
  }
  return object.dump().substr(1);  // the opening brace stands before the time
}

void write_event(Log& log, Level level, std::string_view message, std::span<const Field> fields) {
  const std::string line = log.options.format == LogFormat::kJson
                               ? json_line(level, message, fields)
                               : text_line(level, message, fields);
  log.logger->log(names_of(level).spdlog, spdlog::string_view_t(line));
}

}  // namespace

std::optional<Level> parse_level(std::string_view name) noexcept {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i].name == name) return static_cast<Level>(i);
  }
  return std::nullopt;
}

std::optional<LogFormat> parse_log_format(std::string_view name) noexcept {
  if (name == "text") return LogFormat::kText;
  if (name == "json") return LogFormat::kJson;
  return std::nullopt;
}

Status setup_logging(const LogOptions& options, std::ostream* out) {
  std::shared_ptr<QueuedSink> queued;
  if (out == nullptr) {
    queued = std::make_shared<QueuedSink>(options.file);
    if (Status opened = queued->open(); !opened) return opened;
    finish_log_at_the_end();
  }
  current() = make_log(options, out, std::move(queued));
  return {};
}

Status reopen_log() {
  const Log& log = current();
  return log.queued ? log.queued->open() : Status{};
}

bool finish_log() noexcept {
  constexpr std::chrono::seconds kPatience{1};  // a reader that reads needs far less
  return wait_for_lines(kPatience);
}

void set_log_level(Level level) noexcept {
  current().logger->set_level(names_of(level).spdlog);  // atomic, unlike the rest
}

LogOptions log_options() noexcept {
  const Log& log = current();
  LogOptions options = log.options;
  const auto* row = std::ranges::find(kLevels, log.logger->level(), &LevelName::spdlog);
  options.level = static_cast<Level>(row - kLevels.begin());
  return options;
}

void log_event(Level level, std::string_view message, std::initializer_list<Field> fields) {
  Log& log = current();
  if (!log.logger->should_log(names_of(level).spdlog)) return;
  const auto left_out = log.limits->admit(message, RateLimit::Clock::now());
  if (!left_out) return;
  if (*left_out == 0) return write_event(log, level, message, fields);
  std::vector<Field> with_count(fields);
  with_count.emplace_back("not_logged", *left_out);
  write_event(log, level, message, with_count);
}

void log_every_event(Level level, std::string_view message, std::initializer_list<Field> fields) {
  Log& log = current();
  if (log.logger->should_log(names_of(level).spdlog)) write_event(log, level, message, fields);
}

void warn_at_every_level(std::string_view message, std::initializer_list<Field> fields) {
  const Level least = log_options().level;
  set_log_level(std::min(least, Level::kWarn));
  log_every_event(Level::kWarn, message, fields);
  set_log_level(least);
}

}  // namespace lmcache::obs
