#include "app/cli.hpp"

#include "app/flag.hpp"
#include "app/flag_rules.hpp"
#include "app/help.hpp"
#include "app/suggest.hpp"
#include "obs/clean_text.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>

namespace lmcache::app {
namespace {

constexpr int kManyValues = 1 << 20;

/// A value as it may stand in a message: one line, and no longer than helps.
std::string shown(std::string_view value) {
  return obs::clean_text(value, 100);
}

std::string not_allowed(std::string_view name, std::string_view value, std::string_view allowed) {
  return std::string(name) + ": '" + shown(value) +
         "' is not allowed; allowed: " + std::string(allowed);
}

[[noreturn]] void refuse(std::string_view what, std::string_view reason) {
  throw UsageError(std::string(what) + " is not supported: " + std::string(reason));
}

void apply(const ServerFlag& flag, Draft& draft, const std::string& value) {
  const auto refusal = flag.set(draft, value);
  if (!refusal) return;
  if (!refusal->reason.empty()) refuse(flag.name + " " + shown(value), refusal->reason);
  const std::string_view allowed =
      flag.value.empty() ? "true, false" : std::string_view(flag.allowed);
  throw UsageError(not_allowed(flag.name, value, allowed));
}

/// Throws unless every value is the one that asks for nothing.
void check_refused(const RefusedFlag& flag, std::string_view name,
                   const std::vector<std::string>& values) {
  const bool harmless =
      flag.harmless && std::all_of(values.begin(), values.end(), [&](const std::string& value) {
        return value == *flag.harmless;
      });
  if (!harmless) refuse(name, flag.reason);
}

/// The config file's grammar is CLI11's. On top of that a key may stand once and with one value:
/// CLI11 would take one of several without a word.
class ConfigFile : public CLI::ConfigTOML {
 public:
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    auto entries = CLI::ConfigTOML::from_config(input);
    std::set<std::string> seen;
    for (const CLI::ConfigItem& entry : entries) {
      if (!entry.parents.empty()) {
        throw UsageError("--config: sections are not used, but there is [" +
                         shown(entry.parents.front()) + "]");
      }
      check_key(entry);
      if (entry.inputs.size() != 1 || !seen.insert(entry.name).second) {
        throw UsageError("--config: '" + shown(entry.name) +
                         "' must be given once and have one value");
      }
      const std::string& value = entry.inputs.front();
      if (value.starts_with('"') || value.starts_with('\'')) {
        throw UsageError("--config: the value of '" + shown(entry.name) +
                         "' has no closing quote before the end of the line or a #");
      }
    }
    return entries;
  }

 private:
  static void check_key(const CLI::ConfigItem& entry) {
    const std::string name = "--" + entry.name;
    for (const RefusedFlag& flag : refused_flags()) {
      if (std::find(flag.names.begin(), flag.names.end(), name) != flag.names.end()) {
        check_refused(flag, name, entry.inputs);
      }
    }
    const auto names = flag_names();
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      throw UsageError("--config: unknown key '" + shown(entry.name) + "'" +
                       did_you_mean(name, names));
    }
  }
};

void add_server_flag(CLI::App& app, const ServerFlag& flag, Draft& draft) {
  const auto apply_value = [&flag, &draft](const std::string& value) { apply(flag, draft, value); };
  if (flag.value.empty()) {
    const std::string spelling =
        flag.negation.empty() ? flag.name : flag.name + ",!" + flag.negation;
    app.add_flag(spelling)->each(apply_value);
  } else {
    app.add_option(flag.name)
        ->expected(1)
        ->each(apply_value)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  }
}

void add_refused_flag(CLI::App& app, const RefusedFlag& flag) {
  for (const std::string_view name : flag.names) {
    const auto refuse_it = [&flag, name](const CLI::results_t& results) {
      check_refused(flag, name, results);
      return true;
    };
    // Any number of values, so that no form of it ends in a complaint about the form.
    app.add_option(std::string(name), CLI::callback_t(refuse_it))
        ->expected(flag.harmless ? 1 : 0, kManyValues);
  }
}

void apply_environment(Draft& draft, const Environment& environment) {
  const auto value_of = [&](std::string_view name) {
    const char* value = environment(std::string(name).c_str());
    return std::string(value == nullptr ? "" : value);
  };
  for (const RefusedVariable& variable : refused_variables()) {
    std::string value = CLI::detail::to_lower(value_of(variable.name));
    const bool asks =
        variable.is_switch ? value == "1" || value == "true" || value == "yes" : !value.empty();
    if (asks) refuse(variable.name, variable.reason);
  }
  const std::string name = "LMCACHE_LOG_LEVEL";
  const std::string level = CLI::detail::to_lower(value_of(name));
  if (level.empty()) return;
  if (level == "debug" || level == "info" || level == "error") {
    draft.config.log_level = level;
  } else if (level == "warning" || level == "warn") {
    draft.config.log_level = "warn";
  } else if (level == "critical") {
    draft.config.log_level = "error";
  } else {
    throw UsageError(not_allowed(name, value_of(name), "DEBUG, INFO, WARNING, ERROR, CRITICAL"));
  }
}

/// CLI11 takes "--name=" for a flag whose value is the next word; people mean an empty value.
std::vector<std::string> with_empty_values_apart(const std::vector<std::string>& args) {
  std::vector<std::string> result;
  for (const std::string& arg : args) {
    if (arg.size() > 3 && arg.starts_with("--") && arg.find('=') == arg.size() - 1) {
      result.push_back(arg.substr(0, arg.size() - 1));
      result.emplace_back();
    } else {
      result.push_back(arg);
    }
  }
  return result;
}

void parse_with_cli11(CLI::App& app, const std::vector<std::string>& args) {
  auto words = with_empty_values_apart(args);
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  try {
    app.parse(std::move(words));
  } catch (const CLI::ArgumentMismatch& error) {
    // Its text begins with the flag's name; the rest speaks of C++ types.
    const std::string text = error.what();
    throw UsageError(shown(text.substr(0, text.find(':'))) + " needs a value");
  } catch (const CLI::FileError& error) {
    throw UsageError(std::string("--config: ") + shown(error.what()));
  } catch (const CLI::ParseError& error) {
    throw UsageError(shown(error.what()));
  }
  const auto rest = app.remaining();
  if (rest.empty()) return;
  const std::string& first = rest.front();
  if (!first.starts_with("-")) throw UsageError("unexpected argument '" + shown(first) + "'");
  const std::string name = first.substr(0, first.find('='));
  auto names = flag_names();
  names.insert(names.end(), {"--config", "--help"});
  throw UsageError("unknown flag " + shown(name) + did_you_mean(name, names));
}

std::string seconds_text(std::chrono::milliseconds time) {
  std::string text = std::to_string(time.count() / 1000);
  if (const auto rest = time.count() % 1000; rest != 0) {
    text += "." + std::to_string(1000 + rest).substr(1);
  }
  return text;
}

void check_together(const ServerConfig& config) {
  const bool heartbeats = config.heartbeat_interval.count() != 0;
  if (heartbeats && config.heartbeat_timeout <= config.heartbeat_interval) {
    throw UsageError(
        "--heartbeat-timeout-seconds: '" + seconds_text(config.heartbeat_timeout) +
        "' is not allowed; allowed: more than --heartbeat-interval-seconds, which is " +
        seconds_text(config.heartbeat_interval));
  }
  if (config.worker_registration_grace < config.worker_reap_timeout) {
    throw UsageError(
        "--worker-registration-grace-seconds: '" + seconds_text(config.worker_registration_grace) +
        "' is not allowed; allowed: at least --worker-reap-timeout-seconds, which is " +
        seconds_text(config.worker_reap_timeout));
  }
  if (!config.tenant_quotas.empty() && config.eviction_policy != "IsolatedLRU") {
    throw UsageError("--tenant-quotas needs --eviction-policy IsolatedLRU; " +
                     config.eviction_policy + " does not keep tenants apart");
  }
  double guaranteed = 0;
  for (const auto& [salt, quota] : config.tenant_quotas) {
    guaranteed += static_cast<double>(quota.min_bytes);
  }
  if (guaranteed > config.l1_size_gb * 1024 * 1024 * 1024) {
    throw UsageError("--tenant-quotas guarantees more than --l1-size-gb, which is " +
                     number_text(config.l1_size_gb));
  }
  if (config.http && !config.http_tcp && config.http_socket.empty()) {
    throw UsageError("--no-http-tcp needs --http-socket; --no-http is for no admin HTTP at all");
  }
  if (!config.tcp && config.request_socket.empty()) {
    throw UsageError("--no-tcp needs --request-socket, or there is nothing to listen on");
  }
}

}  // namespace

ServerConfig parse_server_flags(const std::vector<std::string>& args,
                                const Environment& environment) {
  Draft draft;
  apply_environment(draft, environment);

  CLI::App app;
  app.set_help_flag();  // ours is printed before this
  app.allow_extras();   // reported by us, with a suggestion
  app.config_formatter(std::make_shared<ConfigFile>());
  app.set_config("--config")->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  for (const RefusedFlag& flag : refused_flags()) add_refused_flag(app, flag);
  for (const FlagGroup& group : server_flags()) {
    for (const ServerFlag& flag : group.flags) add_server_flag(app, flag, draft);
  }
  parse_with_cli11(app, args);
  // CLI11 takes an empty name for none: what is empty is a script's variable, and its file is
  // meant.
  const auto* file = app.get_config_ptr();
  if (file->count() > 0 && file->results().back().empty())
    throw UsageError("--config: '' is no file; give a path or leave it out");

  draft.config.max_gpu_workers = draft.max_gpu_workers.value_or(draft.config.max_workers);
  draft.config.max_cpu_workers = draft.max_cpu_workers.value_or(draft.config.max_workers);
  if (!draft.observability) draft.config.metrics = draft.config.request_logging = false;
  check_together(draft.config);
  return draft.config;
}

}  // namespace lmcache::app
