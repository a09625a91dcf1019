#include "admin/metrics_catalog.hpp"

namespace lmcache::admin {

std::string metrics_markdown() {
  std::string out =
      "| Metric | Type | Unit | Labels | Reference | Meaning |\n|---|---|---|---|---|---|\n";
  for (const MetricInfo& info : catalog::kAll) {
    out.append("| `").append(info.name).append("` | ").append(to_string(info.kind));
    out.append(" | ").append(info.unit).append(" | ").append(info.labels);
    out.append(" | ").append(info.of_reference ? "yes" : "").append(" | ").append(info.help);
    out.append(" |\n");
  }
  return out;
}

}  // namespace lmcache::admin
