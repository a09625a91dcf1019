// Which worker one is to a server. Servers keep metric rows by worker, and a bounded number of
// them, so ids are taken again by later runs, and never by two at a time.
#pragma once

#include <cstdint>

namespace lmcache::load {

/// An instance id that is held as long as this lives; by the kernel, so a killed process leaves
/// none behind. Throws std::system_error where nothing can be held.
class WorkerName {
 public:
  WorkerName();
  ~WorkerName();
  WorkerName(const WorkerName&) = delete;
  WorkerName& operator=(const WorkerName&) = delete;

  [[nodiscard]] std::int64_t id() const noexcept { return id_; }

 private:
  int fd_ = -1;
  std::int64_t id_ = 0;
};

}  // namespace lmcache::load
