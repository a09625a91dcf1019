#pragma once

#include <string_view>

namespace lmcache::app {

/// True for hosts that only this machine can reach: localhost, 127.0.0.0/8, ::1 (also as [::1]).
/// Names are not resolved: one that is not known to be loopback counts as reachable from elsewhere.
[[nodiscard]] bool is_loopback_host(std::string_view host);

}  // namespace lmcache::app
