#include "admin/routes.hpp"

#include <memory>

namespace lmcache::admin {

Router all_routes(const Context& context) {
  Router router;
  add_info_routes(router, context);
  add_health_routes(router, context);
  add_status_routes(router, context);
  add_config_routes(router, context);
  add_cache_routes(router, context);
  add_object_routes(router, context);
  add_checksum_routes(router, context);
  add_log_routes(router);
  add_metrics_routes(router, context);
  add_ui_routes(router);
  add_quota_routes(router, context.engine.cache());
  // It describes itself too, so it is written when all routes are known.
  const auto document = std::make_shared<Response>();
  router.add({Verb::get, "/openapi.json", "The description of this API",
              [document](const Request&) { return *document; }});
  *document = json(router.openapi());
  return router;
}

}  // namespace lmcache::admin
