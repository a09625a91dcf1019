// One line per event on stderr or in a file, for people (text) or machines (json). Any thread; a
// line is never torn. Nobody waits for a line to be written: a thread of the log's own does that
// (line_queue.hpp).
//
//   text  2026-11-25T02:11:00.123Z INFO  listening host=localhost port=5555
//   json
//   {"ts":"2026-11-25T02:11:00.123Z","level":"info","msg":"listening","host":"localhost","port":5555}
//
// Texts may come from a peer: each is cleaned and cut to kMaxLogTextBytes. Never log token ids,
// salts or prompt content.
#pragma once

#include <lmcache/status.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>

namespace lmcache::obs {

enum class Level : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : std::uint8_t { kText, kJson };

/// "debug", "info", "warn", "error"; anything else is nothing.
[[nodiscard]] std::optional<Level> parse_level(std::string_view name) noexcept;
[[nodiscard]] std::optional<LogFormat> parse_log_format(std::string_view name) noexcept;

struct LogOptions {
  Level level = Level::kInfo;  ///< events below it are dropped
  LogFormat format = LogFormat::kText;
  bool failed_requests = true;  ///< false: request_failed() counts but does not log
  std::string file = {};        ///< where to append; empty: stderr
  std::chrono::milliseconds limit_interval{10'000};  ///< of log_event()'s limit
};

/// Sets where and how events are written. Before the first call: info, text, stderr. Not while
/// other threads log. `out`, written to at once, must outlive the last event (or the next call);
/// nullptr is the options' file. An error (the file cannot be opened) changes nothing.
Status setup_logging(const LogOptions& options, std::ostream* out = nullptr);

/// Opens the log file anew, as after it was moved away; nothing without one. On an error events go
/// where they went. Any thread.
[[nodiscard]] Status reopen_log();

/// Waits until every line was written, about a second at most; true if so. Happens by itself at
/// exit() and abort(). Async-signal-safe.
bool finish_log() noexcept;

/// Changes the least level that is written. Any thread.
void set_log_level(Level level) noexcept;

/// What setup_logging() was given last, with the level of now.
[[nodiscard]] LogOptions log_options() noexcept;

/// A key of ours (snake_case, not "ts", "level" or "msg") and a value. Texts are views: valid for
/// the call only.
struct Field {
  using Value = std::variant<std::string_view, std::int64_t, std::uint64_t, double, bool>;

  template <std::convertible_to<std::string_view> Text>
  Field(std::string_view name, const Text& text) : key(name), value(std::string_view(text)) {}
  template <std::signed_integral Number>
  Field(std::string_view name, Number number) : key(name), value(std::int64_t{number}) {}
  template <std::unsigned_integral Number>
  Field(std::string_view name, Number number) : key(name), value(std::uint64_t{number}) {}
  Field(std::string_view name, double number) : key(name), value(number) {}
  Field(std::string_view name, bool flag) : key(name), value(flag) {}

  std::string_view key;
  Value value;
};

/// At most so many events of one message are logged in LogOptions::limit_interval: clients cause
/// many of them, and as often as they like. The next one that is logged has the number left out as
/// "not_logged".
inline constexpr unsigned kLogBurst = 20;

/// `message` says what happened in a few constant words; what differs from event to event goes into
/// fields.
void log_event(Level level, std::string_view message, std::initializer_list<Field> fields = {});

/// The same without a limit: for events that have one of their own, or that no client causes.
void log_every_event(Level level, std::string_view message,
                     std::initializer_list<Field> fields = {});

/// A warning that is written whatever the least level is.
void warn_at_every_level(std::string_view message, std::initializer_list<Field> fields = {});

}  // namespace lmcache::obs
