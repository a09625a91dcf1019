#include "engine/request_threads.hpp"

#include "obs/pulse.hpp"

#include <pthread.h>

#include <string>

namespace lmcache::engine {

RequestThreads::RequestThreads(unsigned threads)
    : context_(static_cast<int>(threads)), guard_(boost::asio::make_work_guard(context_)) {
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this, i] {
      pthread_setname_np(pthread_self(), "lmcache-request");
      obs::Pulse pulse("request thread " + std::to_string(i));
      obs::run_beating(context_, pulse);
    });
  }
}

RequestThreads::~RequestThreads() {
  stop();
}

void RequestThreads::stop() {
  context_.stop();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace lmcache::engine
