#include "engine/request_threads.hpp"

#include "obs/pulse.hpp"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

namespace lmcache::engine {
namespace {

constexpr std::size_t kWarmBytes = 12u << 20;  ///< of all threads

/// A page of heap that is touched for the first time costs the kernel 1 to 5 us, and what a request
/// of 8192 tokens leaves to be found again takes some twenty: a fifth of its time. So the threads
/// begin with pages for a hundred of them.
void warm_heap(std::size_t bytes) {
  constexpr std::size_t kBlock = 1u << 20;  // what is larger is given back when it is freed
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::vector<std::unique_ptr<std::byte[]>> blocks;
  for (std::size_t left = bytes; left > 0; left -= std::min(left, kBlock)) {
    const std::size_t size = std::min(left, kBlock);
    blocks.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
    volatile std::byte* const block = blocks.back().get();
    for (std::size_t at = 0; at < size; at += page) block[at] = std::byte{};
  }
}

}  // namespace

RequestThreads::RequestThreads(unsigned threads)
    : context_(static_cast<int>(threads)), guard_(boost::asio::make_work_guard(context_)) {
  threads_.reserve(threads);
  const std::size_t warm_bytes = kWarmBytes / threads;
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this, i, warm_bytes] {
      pthread_setname_np(pthread_self(), "lmcache-request");
      warm_heap(warm_bytes);
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
