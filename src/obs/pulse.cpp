#include "obs/pulse.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace lmcache::obs {
namespace {

struct Registry {
  std::mutex mutex;  // guards the list; innermost
  std::vector<const Pulse*> pulses;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

}  // namespace

Pulse::Pulse(std::string name)
    : name_(std::move(name)), last_(Clock::now().time_since_epoch().count()) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  all.pulses.push_back(this);
}

Pulse::~Pulse() {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  std::erase(all.pulses, this);
}

std::vector<Vital> vitals() {
  std::vector<Vital> out;
  {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    for (const Pulse* pulse : all.pulses) out.push_back({pulse->name(), pulse->silence()});
  }
  std::ranges::sort(out, {}, &Vital::name);
  return out;
}

void run_beating(boost::asio::io_context& context, Pulse& pulse) {
  // It stops by itself when it runs out of work, as run() does.
  while (!context.stopped()) {
    pulse.beat();
    context.run_one_for(Pulse::kInterval);
  }
}

}  // namespace lmcache::obs
