// /cache/clear and /cache/prefetches.
#include "admin/input.hpp"
#include "admin/routes.hpp"
#include "obs/log.hpp"

namespace lmcache::admin {
namespace {

constexpr std::size_t kPrefetchTokens = 1u << 20;  // some 8 MB of JSON; the body limit is lower

const std::vector<std::string>& tiers() {
  static const std::vector<std::string> names{"l1", "l2", "all"};
  return names;
}

Response clear(const Context& context, const Request& request) {
  Input input(request);
  const std::string tier = input.choice("tier", "l1", tiers());
  const bool force = input.boolean("force", false);
  if (auto refusal = input.refusal()) return *refusal;
  if (tier != "l1") return detail(400, "tier '" + tier + "' not supported; only 'l1'");
  context.engine.cache().clear(force);
  obs::log_event(obs::Level::kInfo, "cache cleared over HTTP", {{"force", force}});
  return json({{"status", "ok"}, {"cleared", {{"tier", "l1"}}}});
}

// Warming means loading from L2, and there is none. The request is checked all the same, so that a
// caller learns of its own mistakes first.
Response prefetch(const Context& context, const Request& request) {
  Input input(request);
  const std::string model = input.text("model_name");
  const std::uint64_t world_size = input.integer("world_size");
  const auto tokens = input.integers("token_ids", kPrefetchTokens, true);
  static_cast<void>(input.text("cache_salt", ""));
  const std::string source = input.choice("source_tier", "l2", tiers());
  const std::string target = input.choice("target_tier", "l1", tiers());
  if (auto refusal = input.refusal()) return *refusal;
  if (source != "l2" || target != "l1")
    return detail(
        400, "unsupported prefetch direction '" + source + "'->'" + target + "'; only 'l2'->'l1'");
  if (tokens.size() < context.config.chunk_size)
    return json({{"chunks", 0}, {"status", "noop"}}, 202);
  const auto layouts =
      context.engine.instances().layouts(model, static_cast<std::uint32_t>(world_size));
  if (layouts.empty())
    return detail(503, "no layout registered for model_name='" + model +
                           "' world_size=" + std::to_string(world_size) +
                           "; the model has not allocated KV cache on this node yet");
  return detail(503, "no L2 adapters configured, so there is nothing to prefetch from");
}

Response prefetch_status(const Request& request) {
  return detail(404, "unknown prefetch request_id='" + request.places.at("request_id") +
                         "' (already completed or never submitted)");
}

}  // namespace

void add_cache_routes(Router& router, const Context& context) {
  const Json tier{{"type", "string"}, {"enum", tiers()}};
  router.add({.verb = Verb::post,
              .pattern = "/cache/clear",
              .summary = "Drops everything that is not leased; with force leased chunks too, which "
                         "keep their memory until the lease ends",
              .handler = [&context](const Request& r) { return clear(context, r); },
              .lane = Lane::kSlow,
              .body = {{"type", "object"},
                       {"properties", {{"tier", tier}, {"force", {{"type", "boolean"}}}}}},
              .answers = {{400, "Another tier than l1"}, kWrongForm}});
  const Json tokens{{"type", "array"}, {"items", {{"type", "integer"}}}};
  router.add({.verb = Verb::post,
              .pattern = "/cache/prefetches",
              .summary = "Loads a token sequence from L2 into L1",
              .handler = [&context](const Request& r) { return prefetch(context, r); },
              .lane = Lane::kSlow,
              .body = {{"type", "object"},
                       {"required", {"model_name", "world_size", "token_ids"}},
                       {"properties",
                        {{"model_name", {{"type", "string"}}},
                         {"world_size", {{"type", "integer"}}},
                         {"token_ids", tokens},
                         {"cache_salt", {{"type", "string"}}},
                         {"source_tier", tier},
                         {"target_tier", tier}}}},
              .answers = {{202, "Nothing to do"},
                          {400, "Another direction"},
                          kWrongForm,
                          {503, "Unknown model, or no L2"}},
              .succeeds = false,
              .needs_body = true});
  router.add({.verb = Verb::get,
              .pattern = "/cache/prefetches/{request_id}",
              .summary = "How far a prefetch is",
              .handler = prefetch_status,
              .answers = {{404, "Unknown id"}},
              .succeeds = false});
}

}  // namespace lmcache::admin
