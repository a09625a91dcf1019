// Recorded exchanges between the published client and server (tests/data/golden), as raw frames.
#pragma once

#include "wire/message.hpp"

#include <nlohmann/json.hpp>

#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace lmcache::test {

inline wire::Bytes from_hex(const std::string& hex) {
  wire::Bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return out;
}

struct GoldenCase {
  std::string name, operation;
  std::vector<wire::Bytes> request;               ///< uid, operation, payload...
  std::optional<std::vector<wire::Bytes>> reply;  ///< nothing: the published server stayed silent
};

inline nlohmann::json load_json(const std::string& name) {
  std::ifstream in(std::string(LMCACHE_TEST_DATA) + "/golden/" + name + ".json");
  if (!in) throw std::runtime_error("no golden file " + name);
  return nlohmann::json::parse(in);
}

inline std::vector<wire::Bytes> golden_frames(const nlohmann::json& message) {
  std::vector<wire::Bytes> out{from_hex(message.at("uid").at("hex")),
                               from_hex(message.at("operation").at("hex"))};
  for (const auto& frame : message.at("payload")) out.push_back(from_hex(frame.at("hex")));
  return out;
}

inline std::vector<GoldenCase> load_golden(const std::string& name) {
  std::vector<GoldenCase> out;
  const auto file = load_json(name);
  for (const auto& entry : file.at("cases")) {
    GoldenCase one;
    one.name = entry.at("case");
    one.operation = entry.at("request").at("operation_name");
    one.request = golden_frames(entry.at("request"));
    if (entry.contains("reply") && !entry.at("reply").is_null())
      one.reply = golden_frames(entry.at("reply"));
    out.push_back(std::move(one));
  }
  return out;
}

inline wire::Message to_message(const std::vector<wire::Bytes>& frames) {
  wire::Message out;
  for (const auto& frame : frames) {
    out.body().insert(out.body().end(), frame.begin(), frame.end());
    out.close_frame();
  }
  return out;
}

}  // namespace lmcache::test
