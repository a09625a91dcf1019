// What every command has. Internal to src/commands.
#pragma once

#include "commands/doctor.hpp"
#include "commands/http_client.hpp"
#include "commands/report.hpp"

#include <lmcache/status.hpp>

#include <ostream>
#include <string>

namespace lmcache::commands {

/// Where to ask and how, from the flags that all commands share.
struct Target {
  Endpoint endpoint;
  std::string token;
  std::chrono::milliseconds timeout{10'000};

  /// The reply's body if its status is 2xx; otherwise the server's own words as an error.
  [[nodiscard]] Result<Json> json(boost::beast::http::verb verb, const std::string& target,
                                  const Json& body = nullptr) const;
  /// The same of a GET for a body of another media type.
  [[nodiscard]] Result<std::string> text(const std::string& target,
                                         const std::string& media_type) const;
};

inline constexpr const char* kUnhealthy = "the server is unhealthy; see lmcache ping kvcache";

/// A report, or why there is none. `failed`: there is one, and the command has failed all the same.
struct Outcome {
  Report report;
  std::string failure = {};  ///< one line for stderr; not empty: exit code 1
  std::string table = {};    ///< for people, where the report's own table would not read well
  std::string json = {};     ///< for machines, where the report has only a part
  bool printed = false;      ///< the command has written what it had to say
};

struct TopOptions {
  double interval_seconds = 2;
  std::uint64_t iterations = 0;  ///< 0: until a signal
  bool once = false;             ///< one interval, never drawn in place
  bool json = false;
};

[[nodiscard]] Result<Outcome> ping(const Target& target, bool engine);
[[nodiscard]] Result<Outcome> describe(const Target& target);
[[nodiscard]] Result<Outcome> status(const Target& target);
[[nodiscard]] Result<Outcome> clear(const Target& target, bool force);
/// At most `limit` objects, of one model if it is not empty.
[[nodiscard]] Result<Outcome> list_objects(const Target& target, const std::string& model,
                                           std::uint64_t limit);
[[nodiscard]] Result<Outcome> set_quota(const Target& target, const std::string& salt,
                                        double limit_gb);
[[nodiscard]] Result<Outcome> get_quota(const Target& target, const std::string& salt);
[[nodiscard]] Result<Outcome> delete_quota(const Target& target, const std::string& salt);
[[nodiscard]] Result<Outcome> list_quotas(const Target& target);
/// Writes one report per interval to `out`, or draws them in place where stdout is a terminal.
[[nodiscard]] Result<Outcome> top(const Target& target, const TopOptions& options,
                                  std::ostream& out);
[[nodiscard]] Result<Outcome> doctor(const Target& target, const Plan& plan);

}  // namespace lmcache::commands
