// Log lines on their way to stderr, or appended to a file that can be opened anew after it was
// moved away. Internal to src/obs.
#pragma once

#include "obs/line_queue.hpp"

#include <lmcache/status.hpp>

#include <spdlog/sinks/base_sink.h>

#include <memory>
#include <mutex>
#include <string>

namespace lmcache::obs {

class QueuedSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit QueuedSink(std::string path) : path_(std::move(path)) {}  ///< empty: stderr

  /// Opens the file, made with mode 0640 if it is not there. On an error lines go where they went.
  [[nodiscard]] Status open();

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}  // the queue's thread does not wait to be asked

 private:
  const std::string path_;
  std::shared_ptr<const Descriptor> descriptor_;  // guarded by base_sink's mutex
};

}  // namespace lmcache::obs
