// Log lines appended to a file that can be opened anew after it was moved away. Internal to
// src/obs.
#pragma once

#include <lmcache/status.hpp>

#include <spdlog/sinks/base_sink.h>

#include <mutex>
#include <string>

namespace lmcache::obs {

class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit FileSink(std::string path) : path_(std::move(path)) {}
  ~FileSink() override;

  /// Opens the file, made with mode 0640 if it is not there. On an error lines go where they went.
  [[nodiscard]] Status open();

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}  // nothing is kept back

 private:
  const std::string path_;
  int fd_ = -1;  // guarded by base_sink's mutex
};

}  // namespace lmcache::obs
