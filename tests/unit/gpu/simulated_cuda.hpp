// CUDA's functions as src/gpu calls them, on plain memory: streams are queues of operations, which
// run, in their order and as far as they may, whenever something is asked of the GPU. What would
// block a thread for ever on a real one is noted instead. Linked in the runtime's and the kernels'
// place.
#pragma once

#include "wire/message.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace lmcache::test::simulated {

/// Before each test.
void reset(int gpus);
/// As descriptors spell it.
[[nodiscard]] std::string uuid(int ordinal);
/// A handle that cudaIpcOpenMemHandle takes.
[[nodiscard]] std::array<std::byte, 64> exported(std::span<const std::byte> memory);

/// An event of an engine's.
class EngineEvent {
 public:
  EngineEvent();
  [[nodiscard]] wire::Bytes handle() const;
  void finish();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Streams stand still.
void pause(bool paused);
/// cudaHostRegister fails for memory that contains this.
void refuse_to_pin(const std::byte* memory);
/// The next cudaMemcpy fails, and nothing else.
void fail_next_copy();
/// To enqueue a rectangle takes this long.
void slow_rectangles(std::chrono::milliseconds time);
/// cudaMalloc fails for more than this.
void limit_allocations(std::size_t bytes);
/// Every call fails until the context is reset.
void spoil();

/// A call waited for what only its own thread could have done.
[[nodiscard]] bool deadlocked();
/// Empty kernels launched since reset().
[[nodiscard]] int empty_kernels();
/// Events that were made or opened and not destroyed.
[[nodiscard]] int live_events();
/// Engines' memories that are open.
[[nodiscard]] int open_memories();
/// The most that one cudaMemcpyAsync has moved since this was asked last.
[[nodiscard]] std::size_t largest_copy();
/// Contexts that were reset.
[[nodiscard]] int resets();

}  // namespace lmcache::test::simulated
