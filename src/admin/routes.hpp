// Every route, by concern. Each function adds those of the file with its name.
#pragma once

#include "admin/context.hpp"
#include "admin/router.hpp"

namespace lmcache::admin {

void add_info_routes(Router& router, const Context& context);
void add_health_routes(Router& router, const Context& context);
void add_status_routes(Router& router, const Context& context);
void add_config_routes(Router& router, const Context& context);
void add_cache_routes(Router& router, const Context& context);
void add_object_routes(Router& router, const Context& context);
void add_checksum_routes(Router& router, const Context& context);
void add_log_routes(Router& router);
void add_metrics_routes(Router& router, const Context& context);
void add_ui_routes(Router& router);
void add_quota_routes(Router& router, Cache& cache);

/// All of the above and /openapi.json, which describes them.
[[nodiscard]] Router all_routes(const Context& context);

}  // namespace lmcache::admin
