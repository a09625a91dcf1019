// Who this is: /, /version, /lmc_version, /commit_id.
#include "admin/routes.hpp"

#include <lmcache/version.hpp>

#include <string>

namespace lmcache::admin {
namespace {

Handler constant(Json value) {
  return [answer = json(value)](const Request&) { return answer; };
}

}  // namespace

void add_info_routes(Router& router, const Context&) {
  const std::string version = kVersion;
  router.add({Verb::get, "/", "That the API is there",
              constant({{"status", "ok"}, {"service", "LMCache HTTP API"}}), Lane::kQuick, true});
  router.add({Verb::get, "/version", "Version and commit", constant(version)});
  router.add(
      {Verb::get, "/lmc_version", "Version", constant(version.substr(0, version.find('+')))});
  router.add({Verb::get, "/commit_id", "Commit it was built from", constant(kCommit)});
}

}  // namespace lmcache::admin
