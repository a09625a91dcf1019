// `lmcache doctor`: asks the server at --url, looks around, reports.
#include "commands/command.hpp"
#include "commands/doctor.hpp"
#include "obs/clean_text.hpp"

namespace lmcache::commands {
namespace {

using boost::beast::http::verb;

std::optional<HttpReply> answer_of(const Target& target, const char* path, std::string token) {
  auto reply = ask(target.endpoint, {verb::get, path, "", std::move(token), target.timeout});
  if (!reply) return std::nullopt;
  return std::move(*reply);
}

/// The port it was reached at, and those it names; 0 is one it does not have.
std::vector<std::uint16_t> ports_of(const Target& target) {
  std::vector<std::uint16_t> ports;
  if (target.endpoint.path.empty())
    ports.push_back(static_cast<std::uint16_t>(std::stoul(target.endpoint.port)));
  const auto config = target.json(verb::get, "/config");
  if (!config || !config->is_object()) return ports;
  for (const char* name : {"/mp/port", "/http/http_port"}) {
    const Json port = config->value(Json::json_pointer(name), Json());
    if (port.is_number_unsigned()) ports.push_back(port.get<std::uint16_t>());
  }
  return ports;
}

void ask_server(const Target& target, Machine& machine) {
  // A server that asks for a token tells its health without one, and nothing else.
  const auto health = answer_of(target, "/healthcheck", "");
  const Json body = health ? Json::parse(health->body, nullptr, false) : Json();
  if (!body.is_object() || !body.contains("status")) return;  // nobody, or somebody else
  machine.server_version = "unknown";
  if (health->status == 503) machine.server_illness = body.value("reason", "");
  const auto version = answer_of(target, "/version", target.token);
  machine.server_wants_token = version && version->status == 401;
  const Json said = version ? Json::parse(version->body, nullptr, false) : Json();
  if (said.is_string()) machine.server_version = said.get<std::string>();
  if (!said.is_string() && !machine.server_wants_token) return;  // another kind of server
  machine.server_ports = ports_of(target);
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
