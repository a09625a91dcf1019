#include "commands/command.hpp"

#include <algorithm>
#include <vector>

namespace lmcache::commands {

using boost::beast::http::verb;

namespace {

void add_object(Report& report, const Json& entry) {
  const Json key = entry.value("key", Json::object());
  const std::string hash = key.value("chunk_hash_hex", "");
  report.section("objects", hash.substr(0, 16));
  report.add("chunk_hash_hex", "Chunk", hash);
  report.add("model_name", "Model", key.value("model_name", ""));
  report.add("cache_salt", "Cache salt", key.value("cache_salt", ""));
  report.add("kv_rank", "KV rank", key.value("kv_rank", std::uint64_t{0}));
  report.add("object_group_id", "Object group", key.value("object_group_id", std::uint64_t{0}));
  report.add("size_bytes", "Size (bytes)", entry.value("size_bytes", std::uint64_t{0}));
}

}  // namespace

Result<Outcome> clear(const Target& target, bool force) {
  Json body{{"tier", "l1"}};
  if (force) body["force"] = true;
  const auto done = target.json(verb::post, "/cache/clear", body);
  if (!done) return done.error();
  Outcome outcome{Report("KV Cache Clear")};
  outcome.report.add("status", "Status", "OK");
  return outcome;
}

Result<Outcome> list_objects(const Target& target, const std::string& model, std::uint64_t limit) {
  std::vector<Json> entries;
  std::string token;
  bool more = true;
  while (more && entries.size() < limit) {
    const std::uint64_t page = std::min<std::uint64_t>(limit - entries.size(), 5000);
    const auto answer = target.json(
        verb::get, "/cache/objects?tier=l1&page_size=" + std::to_string(page) +
                       "&page_token=" + escaped(token) +
                       (model.empty() ? std::string() : "&model_name=" + escaped(model)));
    if (!answer) return answer.error();
    for (const Json& entry : answer->value("entries", Json::array())) entries.push_back(entry);
    const Json next = answer->value("next_page_token", Json());
    more = next.is_string();
    if (more) token = next.get<std::string>();
  }
  Outcome outcome{Report("KV Cache Objects")};
  if (entries.empty()) outcome.report.add("info", "Info", "Nothing is cached");
  if (more) outcome.report.add("cut_at_limit", "There are more; cut at --limit", limit);
  for (const Json& entry : entries) add_object(outcome.report, entry);
  return outcome;
}

}  // namespace lmcache::commands
