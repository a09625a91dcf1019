#include "engine/request_threads.hpp"

#include "obs/pulse.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <string>

namespace lmcache::engine {
namespace {

/// A page of heap that is touched for the first time costs the kernel 1 to 5 us, and what a request
/// of 8192 tokens leaves to be found again takes some twenty: a fifth of its time. So a thread
/// begins with pages for some hundred of them. Blocks are smaller than what the heap gives back.
void warm_heap() {
  constexpr std::size_t kBlock = 3u << 20;
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  std::array<std::unique_ptr<std::byte[]>, 2> blocks;
  for (auto& block : blocks) {
    block = std::make_unique_for_overwrite<std::byte[]>(kBlock);
    volatile std::byte* const bytes = block.get();
    for (std::size_t at = 0; at < kBlock; at += page) bytes[at] = std::byte{};
  }
}

}  // namespace

RequestThreads::RequestThreads(unsigned threads)
    : context_(static_cast<int>(threads)), guard_(boost::asio::make_work_guard(context_)) {
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) {
    threads_.emplace_back([this, i] {
      pthread_setname_np(pthread_self(), "lmcache-request");
      warm_heap();
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
