// Proof of life of each loop: a thread beats whenever it comes round, and whoever asks sees how
// long each has been silent. A loop that hangs cannot beat, so nothing has to notice that it hangs.
#pragma once

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace lmcache::obs {

/// One loop's pulse; in the process-wide list from construction, which counts as the first beat, to
/// destruction. beat() from the loop's own thread.
class Pulse {
 public:
  using Clock = std::chrono::steady_clock;
  /// A loop with nothing to do comes round at least this often.
  static constexpr std::chrono::milliseconds kInterval{500};
  /// Silence that no healthy loop shows, however loaded the machine is.
  static constexpr std::chrono::seconds kLimit{10};

  explicit Pulse(std::string name);  ///< for people: "request thread 1"
  ~Pulse();
  Pulse(const Pulse&) = delete;
  Pulse& operator=(const Pulse&) = delete;

  void beat() noexcept {
    last_.store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] Clock::duration silence() const noexcept {
    return Clock::now().time_since_epoch() - Clock::duration(last_.load(std::memory_order_relaxed));
  }

 private:
  const std::string name_;
  std::atomic<Clock::rep> last_;
};

struct Vital {
  std::string name;
  Pulse::Clock::duration silence;
};
/// Every live loop, by name. Any thread.
[[nodiscard]] std::vector<Vital> vitals();

/// context.run(), with a beat before each handler and at least every Pulse::kInterval.
void run_beating(boost::asio::io_context& context, Pulse& pulse);

}  // namespace lmcache::obs
