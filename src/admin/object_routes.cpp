// /cache/objects: what is resident, page by page, and the deletion of some of it by key.
#include "admin/input.hpp"
#include "admin/routes.hpp"
#include "obs/log.hpp"

#include <charconv>

namespace lmcache::admin {
namespace {

constexpr std::int64_t kPageDefault = 500, kPageMax = 5000;
constexpr std::size_t kDeletedMax = 10'000;  // keys of a call; the reference's limit

/// The reference packs (world size, rank, local world size, local rank) into a byte each; the local
/// ones repeat the global ones.
std::uint64_t kv_rank(std::uint32_t world_size, std::uint32_t rank) {
  return std::uint64_t{world_size} << 24 | std::uint64_t{rank} << 16 |
         std::uint64_t{world_size} << 8 | rank;
}

/// The object that a key names. None where it has no form that kv_rank() gives.
std::optional<ObjectName> name_of(const Keyspace& keyspace, const ChunkHash& hash,
                                  std::uint64_t packed, std::uint64_t group) {
  const auto world_size = static_cast<std::uint32_t>(packed >> 24);
  const auto rank = static_cast<std::uint32_t>(packed >> 16 & 0xff);
  if (kv_rank(world_size, rank) != packed || group > UINT32_MAX) return std::nullopt;
  return ObjectName{
      {keyspace.model, keyspace.salt, world_size}, hash, rank, static_cast<std::uint32_t>(group)};
}

std::optional<ListCursor> parse_cursor(const std::string& token) {
  ListCursor cursor;
  if (token.empty()) return cursor;
  const char* end = token.data() + token.size();
  const auto chunk = std::from_chars(token.data(), end, cursor.chunk);
  if (chunk.ec != std::errc{} || chunk.ptr == end || *chunk.ptr != '.') return std::nullopt;
  const auto object = std::from_chars(chunk.ptr + 1, end, cursor.object);
  if (object.ec != std::errc{} || object.ptr != end) return std::nullopt;
  return cursor;
}

Response list(const Context& context, const Request& request) {
  Input input(request);
  const std::string tier = input.query_choice("tier", "l2", {"l1", "l2", "all"});
  const std::string adapter = input.query_text("adapter");
  const std::string model = input.query_text("model_name");
  const auto page_size = input.query_integer("page_size", kPageDefault, 1, kPageMax);
  auto cursor = parse_cursor(input.query_text("page_token"));
  if (auto refusal = input.refusal()) return *refusal;
  if (!adapter.empty()) return detail(404, "no L2 adapter with type_name='" + adapter + "'");
  if (tier == "l2") return detail(503, "no L2 adapters configured; L1 is listed with tier=l1");
  if (tier != "l1") return detail(400, "tier '" + tier + "' not supported; only 'l1' and 'l2'");
  if (!cursor) return detail(400, "malformed page_token");
  std::vector<ListedObject> objects;
  const bool more =
      context.engine.cache().list(*cursor, static_cast<std::size_t>(page_size), model, objects);
  Json entries = Json::array();
  for (const ListedObject& object : objects)
    entries.push_back({{"key",
                        {{"chunk_hash_hex", hex_text(object.hash.bytes)},
                         {"model_name", object.keyspace.model},
                         {"kv_rank", kv_rank(object.keyspace.world_size, object.rank)},
                         {"object_group_id", object.group},
                         {"cache_salt", object.keyspace.salt}}},
                       {"size_bytes", object.bytes}});
  Json next = nullptr;
  if (more) next = std::to_string(cursor->chunk) + "." + std::to_string(cursor->object);
  return json({{"adapter", "l1"},
               {"shared", false},
               {"entries", std::move(entries)},
               {"next_page_token", std::move(next)}});
}

Response remove(const Context& context, const Request& request) {
  Input input(request);
  const std::string tier = input.choice("tier", "l2", {"l1", "l2", "all"});
  const bool force = input.boolean("force", false);
  const std::string adapter = input.text_or_null("adapter");
  std::vector<ObjectName> names;
  std::optional<std::string> malformed;
  const std::size_t keys = input.objects("keys", [&](Input& key) {
    ChunkHash hash;
    const std::string hex = key.text("chunk_hash_hex");
    if (!parse_hex(hex, hash.bytes)) malformed = hex;
    const auto packed = key.integer("kv_rank");
    const auto name = name_of({key.text("model_name"), key.text("cache_salt", ""), 0}, hash, packed,
                              key.integer("object_group_id", 0));
    if (name) names.push_back(*name);
  });
  if (auto refusal = input.refusal()) return *refusal;
  if (keys > kDeletedMax)
    return detail(400, "too many keys in a single request (limit=" + std::to_string(kDeletedMax) +
                           ", got=" + std::to_string(keys) + ")");
  if (malformed)
    return detail(400, "'" + *malformed + "' is no chunk hash of 64 hexadecimal digits");
  if (tier != "l1" && !adapter.empty())
    return detail(404, "no L2 adapter with type_name='" + adapter + "'");
  if (tier == "l2") return detail(503, "no L2 adapters configured; for L1 say tier=l1");
  const Removal removal = context.engine.cache().remove(std::move(names), force);
  obs::log_event(obs::Level::kInfo, "objects deleted over HTTP",
                 {{"keys", keys},
                  {"deleted", removal.removed},
                  {"skipped", removal.skipped},
                  {"force", force}});
  return json({{"deleted", removal.removed}, {"skipped", removal.skipped}, {"ok", true}});
}

}  // namespace

void add_object_routes(Router& router, const Context& context) {
  router.add(
      {.verb = Verb::get,
       .pattern = "/cache/objects",
       .summary = "Keys and sizes of what is resident in a tier",
       .handler = [&context](const Request& r) { return list(context, r); },
       .lane = Lane::kSlow,
       .query = {{"tier", {{"type", "string"}, {"enum", {"l1", "l2", "all"}}, {"default", "l2"}}},
                 {"adapter", {{"type", "string"}}},
                 {"model_name", {{"type", "string"}}},
                 {"page_size",
                  {{"type", "integer"},
                   {"minimum", 1},
                   {"maximum", kPageMax},
                   {"default", kPageDefault}}},
                 {"page_token", {{"type", "string"}}}},
       .answers = {{400, "Tier or page token not understood"},
                   {404, "Unknown adapter"},
                   kWrongForm,
                   {503, "No L2"}}});
  const Json key{{"type", "object"},
                 {"required", {"chunk_hash_hex", "model_name", "kv_rank"}},
                 {"properties",
                  {{"chunk_hash_hex", {{"type", "string"}}},
                   {"model_name", {{"type", "string"}}},
                   {"kv_rank", {{"type", "integer"}}},
                   {"object_group_id", {{"type", "integer"}, {"default", 0}}},
                   {"cache_salt", {{"type", "string"}, {"default", ""}}}}}};
  router.add(
      {.verb = Verb::delete_,
       .pattern = "/cache/objects",
       .summary = "Deletes the named objects of L1 (tier l1; all is the same here). An object of a "
                  "group without a window goes with its chunk and with all chunks behind it, which "
                  "no hit could reach any more; a windowed one goes alone. deleted and skipped "
                  "count the named ones that were there: skipped is what is in use, or has "
                  "something behind it that is; with force that is hidden at once and freed by "
                  "its last user",
       .handler = [&context](const Request& r) { return remove(context, r); },
       .lane = Lane::kSlow,
       .body = {{"type", "object"},
                {"required", {"keys"}},
                {"properties",
                 {{"keys", {{"type", "array"}, {"maxItems", kDeletedMax}, {"items", key}}},
                  {"tier", {{"type", "string"}, {"enum", {"l1", "l2", "all"}}, {"default", "l2"}}},
                  {"force", {{"type", "boolean"}, {"default", false}}},
                  {"adapter", {{"type", {"string", "null"}}}}}}},
       .answers = {{400, "Too many keys, or a chunk hash that is none"},
                   {404, "Unknown adapter"},
                   kWrongForm,
                   {503, "No L2"}},
       .needs_body = true});
}

}  // namespace lmcache::admin
