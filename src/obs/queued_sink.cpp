#include "obs/queued_sink.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lmcache::obs {

Status QueuedSink::open() {
  const int opened = path_.empty()
                         ? STDERR_FILENO
                         : ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (opened < 0) {
    return Error{Cause::kNotServed, "cannot open --log-file '" + path_ +
                                        "': " + std::strerror(errno) +
                                        "; its folder must exist and be writable"};
  }
  auto descriptor = std::make_shared<const Descriptor>(opened);
  const std::lock_guard lock(mutex_);
  descriptor_.swap(descriptor);
  return {};
}

// A line is one write: with O_APPEND lines of several writers do not mix.
void QueuedSink::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  queue_line(descriptor_, std::string(line.data(), line.size()));
}

}  // namespace lmcache::obs
