// /cache/objects: what is resident, page by page.
#include "admin/input.hpp"
#include "admin/routes.hpp"

#include <charconv>

namespace lmcache::admin {
namespace {

constexpr std::int64_t kPageDefault = 500, kPageMax = 5000;

/// The reference packs (world size, rank, local world size, local rank) into a byte each; the local
/// ones repeat the global ones.
std::uint64_t kv_rank(std::uint32_t world_size, std::uint32_t rank) {
  return std::uint64_t{world_size} << 24 | std::uint64_t{rank} << 16 |
         std::uint64_t{world_size} << 8 | rank;
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
}

}  // namespace lmcache::admin
