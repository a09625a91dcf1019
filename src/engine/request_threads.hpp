// The threads requests run on, each with a pulse of its own.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <thread>
#include <vector>

namespace lmcache::engine {

class RequestThreads {
 public:
  explicit RequestThreads(unsigned threads);
  ~RequestThreads();  ///< stop()
  RequestThreads(const RequestThreads&) = delete;
  RequestThreads& operator=(const RequestThreads&) = delete;

  /// Where work is posted; nothing posted may wait for anything.
  [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
  /// Lets what runs end, drops what has not begun, joins. Idempotent; from none of the threads.
  void stop();

 private:
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::vector<std::thread> threads_;
};

}  // namespace lmcache::engine
