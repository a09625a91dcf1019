#include "gpu/device_finder.hpp"

#include <utility>

namespace lmcache::gpu {
namespace {

Error stopping() {
  return {Cause::kStopping, "the server is stopping"};
}

}  // namespace

void DeviceFinder::find(Found found) {
  std::unique_lock lock(mutex_);
  if (stopping_ || (known_ && !known_->empty())) {
    const Result<Ordinals> known = stopping_ ? Result<Ordinals>(stopping()) : known_;
    lock.unlock();
    return found(known);
  }
  waiting_.push_back(std::move(found));
  if (finding_) return;
  if (thread_.joinable()) thread_.join();  // it has done its last step, under this lock
  thread_ = std::thread([this] { run(); });
  finding_ = true;  // if there was no thread to be had, the next one who asks tries again
}

void DeviceFinder::stop() {
  std::thread thread;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    thread.swap(thread_);
  }
  if (thread.joinable()) thread.join();
}

void DeviceFinder::run() {
  Result<Ordinals> result = find_();
  std::unique_lock lock(mutex_);
  known_ = result;
  while (!waiting_.empty()) {
    std::vector<Found> served = std::exchange(waiting_, {});
    if (stopping_) result = stopping();
    lock.unlock();
    for (const Found& found : served) found(result);
    served.clear();  // what they hold may end with them
    lock.lock();
  }
  finding_ = false;
}

}  // namespace lmcache::gpu
