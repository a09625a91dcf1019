// `lmcache doctor`: asks the server at --url, looks around, reports.
#include "commands/command.hpp"
#include "commands/doctor.hpp"
#include "load/client.hpp"
#include "obs/clean_text.hpp"

#include <algorithm>

namespace lmcache::commands {
namespace {

using boost::beast::http::verb;

constexpr std::chrono::milliseconds kProbeTime{2000};  // for somebody who may speak no ZMTP at all

Result<HttpReply> answer_of(const Target& target, const char* path, std::string token) {
  return ask(target.endpoint, {verb::get, path, "", std::move(token), target.timeout});
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
  if (!health) {
    const Error& error = health.error();
    if (error.cause == Cause::kTimeout) machine.silence = error.text;
    if (error.cause == Cause::kMalformed) machine.stranger = error.text;
    return;
  }
  const Json body = Json::parse(health->body, nullptr, false);
  if (!body.is_object() || !body.contains("status")) {
    machine.stranger =
        "HTTP " + std::to_string(health->status) + " from " + target.endpoint.url + "/healthcheck";
    return;
  }
  const auto version = answer_of(target, "/version", target.token);
  if (!version) {
    machine.silence = version.error().text;
    return;
  }
  machine.server_wants_token = version->status == 401;
  const Json said = Json::parse(version->body, nullptr, false);
  if (!said.is_string() && !machine.server_wants_token) {
    machine.stranger = "no version at " + target.endpoint.url + "/version";
    return;
  }
  machine.server_version = said.is_string() ? said.get<std::string>() : "unknown";
  if (health->status == 503) machine.server_illness = body.value("reason", "");
  machine.server_ports = ports_of(target);
}

/// Whether whoever has the request port speaks the protocol: a server without admin HTTP tells of
/// itself in no other way.
bool answers_requests(std::uint16_t port, std::chrono::milliseconds patience) {
  try {
    load::Client client("tcp://127.0.0.1:" + std::to_string(port), patience, [] { return false; });
    client.call(wire::Op::kNoop, {});
    return true;
  } catch (const std::exception&) {
    return false;
  }
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
  if (machine.request_port_free == false)
    machine.request_port_answers =
        answers_requests(plan.request_port, std::min(target.timeout, kProbeTime));
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
