// `lmcache doctor`: asks the server at --url, looks around, reports.
#include "commands/command.hpp"
#include "commands/doctor.hpp"
#include "obs/clean_text.hpp"

namespace lmcache::commands {
namespace {

using boost::beast::http::verb;

void ask_server(const Target& target, Machine& machine) {
  // A server that asks for a token tells its health without one, and nothing else.
  const auto health = ask(target.endpoint, {verb::get, "/healthcheck", "", "", target.timeout});
  if (!health) return;
  machine.server_version = "unknown";
  if (health->status == 503) {
    const Json body = Json::parse(health->body, nullptr, false);
    machine.server_illness = body.is_object() ? body.value("reason", "") : "";
  }
  const auto version = target.json(verb::get, "/version");
  if (version && version->is_string()) machine.server_version = version->get<std::string>();
}

/// "warn  memlock         8 MiB", and the cure below it.
std::string line_of(const Check& check) {
  constexpr std::size_t kVerdictWidth = 6, kNameWidth = 16;
  std::string line(to_string(check.verdict));
  line.resize(kVerdictWidth, ' ');
  line += check.name;
  line.resize(kVerdictWidth + kNameWidth, ' ');
  line.append(obs::clean_text(check.found)).append("\n");
  if (!check.cure.empty())
    line.append(kVerdictWidth, ' ').append(obs::clean_text(check.cure)).append("\n");
  return line;
}

}  // namespace

Result<Outcome> doctor(const Target& target, const Plan& plan) {
  Machine machine = look_around(plan);
  ask_server(target, machine);
  Outcome outcome{Report("Doctor")};
  std::string failed;
  for (const Check& check : examine(machine, plan)) {
    outcome.report.section("checks", check.name + ": " + std::string(to_string(check.verdict)));
    outcome.report.add("name", "Check", check.name);
    outcome.report.add("status", "Status", to_string(check.verdict));
    outcome.report.add("found", "Found", check.found);
    if (!check.cure.empty()) outcome.report.add("cure", "Cure", check.cure);
    outcome.table += line_of(check);
    if (check.verdict == Verdict::kFail) failed += (failed.empty() ? "" : ", ") + check.name;
  }
  if (!failed.empty()) outcome.failure = "failed: " + failed;
  return outcome;
}

}  // namespace lmcache::commands
