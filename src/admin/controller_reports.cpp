#include "admin/controller_reports.hpp"

#include "admin/health.hpp"

namespace lmcache::admin {

Json eviction_report(const ServerConfig& config, const std::vector<obs::Vital>& vitals) {
  const bool alive = comes_round(vitals, "housekeeping");
  return {{"is_healthy", alive},
          {"thread_alive", alive},
          {"eviction_policy", config.eviction_policy},
          {"trigger_watermark", config.eviction_trigger_watermark},
          {"eviction_ratio", config.eviction_ratio}};
}

Json store_report() {
  return {{"is_healthy", true},        {"thread_alive", true}, {"pending_keys_count", 0},
          {"in_flight_task_count", 0}, {"num_l2_adapters", 0}, {"num_active_adapters", 0},
          {"num_draining_adapters", 0}};
}

Json prefetch_report() {
  return {{"is_healthy", true},         {"thread_alive", true},     {"max_in_flight", 0},
          {"submission_queue_size", 0}, {"pending_queue_size", 0},  {"in_flight_request_count", 0},
          {"lookup_phase_count", 0},    {"load_phase_count", 0},    {"completed_results_count", 0},
          {"num_l2_adapters", 0},       {"num_active_adapters", 0}, {"num_draining_adapters", 0}};
}

}  // namespace lmcache::admin
