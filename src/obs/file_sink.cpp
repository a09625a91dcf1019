#include "obs/file_sink.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace lmcache::obs {

FileSink::~FileSink() {
  if (fd_ >= 0) ::close(fd_);
}

Status FileSink::open() {
  const int opened = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (opened < 0) {
    return Error{Cause::kNotServed, "cannot open --log-file '" + path_ +
                                        "': " + std::strerror(errno) +
                                        "; its folder must exist and be writable"};
  }
  int old = -1;
  {
    const std::lock_guard lock(mutex_);
    old = std::exchange(fd_, opened);
  }
  if (old >= 0) ::close(old);
  return {};
}

// One write for a line: with O_APPEND lines of several writers do not mix. A full disk costs lines,
// not the server.
void FileSink::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  [[maybe_unused]] const ssize_t written = ::write(fd_, line.data(), line.size());
}

}  // namespace lmcache::obs
