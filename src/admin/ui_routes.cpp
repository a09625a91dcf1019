// /ui: the live page. It has no figures in it; it asks for them as any client does.
#include "admin/routes.hpp"
#include "admin/ui_page.hpp"

#include <utility>

namespace lmcache::admin {

void add_ui_routes(Router& router) {
  UiPage page = ui_page();
  // Not kept by the browser (no-store, as every answer): it is read once per visit, and after an
  // upgrade it must match the server.
  Response answer{
      200,
      "text/html; charset=utf-8",
      std::move(page.html),
      {{"Content-Security-Policy", std::move(page.policy)}, {"Referrer-Policy", "no-referrer"}}};
  router.add({.verb = Verb::get,
              .pattern = "/ui",
              .summary = "A web page with live plots; it asks for the token where one is required",
              .handler = [answer = std::move(answer)](const Request&) { return answer; },
              .open = true});
}

}  // namespace lmcache::admin
