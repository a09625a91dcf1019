// Finds the GPUs when the first of them is asked for, on a thread of its own: when nobody has used
// the driver before that takes seconds, and who asks has others to serve. Once found they stay;
// after a failure the next one who asks has them looked for anew.
//
// The thread has no pulse: it is no loop, and a driver may take longer than a loop may be silent.
//
// Threads: any.
#pragma once

#include <lmcache/status.hpp>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace lmcache::gpu {

class DeviceFinder {
 public:
  /// By UUID.
  using Ordinals = std::map<std::string, int>;
  using Found = std::function<void(const Result<Ordinals>&)>;

  explicit DeviceFinder(std::function<Result<Ordinals>()> find) : find_(std::move(find)) {}
  ~DeviceFinder() { stop(); }
  DeviceFinder(const DeviceFinder&) = delete;
  DeviceFinder& operator=(const DeviceFinder&) = delete;

  /// Calls `found` exactly once, without a lock held: at once where they are known, else on the
  /// finder's thread, for all who have asked meanwhile alike.
  void find(Found found);
  /// Waits for the thread. Who has asked, or asks later, is answered kStopping.
  void stop();

 private:
  void run();

  const std::function<Result<Ordinals>()> find_;
  std::mutex mutex_;  // guards the rest
  Result<Ordinals> known_ = Ordinals{};
  std::vector<Found> waiting_;
  bool finding_ = false, stopping_ = false;
  std::thread thread_;
};

}  // namespace lmcache::gpu
