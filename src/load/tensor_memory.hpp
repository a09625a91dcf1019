// Where an engine's tensors are, in shared memory or on a GPU, and how its copies are told when to
// begin and when they have ended. One thread at a time; failures are std::runtime_error with one
// line of text.
#pragma once

#include "wire/message.hpp"

#include <lmcache/geometry.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace lmcache::load {

/// Bytes of one segment: what one tensor keeps of one block.
struct Page {
  std::size_t segment;
  std::uint64_t offset;
  std::size_t bytes;
};

class TensorMemory {
 public:
  /// Gets a page's index and room for its bytes, of which it writes all.
  using Make = std::function<void(std::size_t page, std::span<std::byte> bytes)>;
  using See = std::function<void(std::size_t page, std::span<const std::byte> bytes)>;

  TensorMemory() = default;
  virtual ~TensorMemory() = default;
  TensorMemory(const TensorMemory&) = delete;
  TensorMemory& operator=(const TensorMemory&) = delete;

  /// Pages lie in segments and do not overlap.
  virtual void write(std::span<const Page> pages, const Make& make) = 0;
  virtual void read(std::span<const Page> pages, const See& see) = 0;
  /// Zeros everywhere.
  virtual void wipe() = 0;

  /// How a registration names `tensor`, whose storage is that segment.
  [[nodiscard]] virtual wire::Bytes descriptor(std::size_t segment,
                                               const TensorDesc& tensor) const = 0;
  /// Every server has opened what it was told of.
  virtual void registered() = 0;

  /// Of a request: its copy may begin, because what was done here is done. Encoded as the
  /// operation has it, without MessagePack.
  [[nodiscard]] virtual wire::Bytes event() = 0;
  /// Until the event of a reply tells that the copy has ended. `go_on` is called meanwhile and
  /// throws in order to give up.
  virtual void wait(wire::ByteView event, const std::function<void()>& go_on) = 0;
};

/// Takes memory for segments of these sizes.
using MakeTensors =
    std::unique_ptr<TensorMemory> (*)(const std::vector<std::uint64_t>& segment_bytes);

/// In /dev/shm, for engines on a CPU, whose transfers have ended when they are answered.
[[nodiscard]] std::unique_ptr<TensorMemory> make_shared_tensors(
    const std::vector<std::uint64_t>& segment_bytes);

/// What makes tensors on the first GPU that CUDA_VISIBLE_DEVICES leaves; nullptr if this program
/// was built without CUDA. Throws, with the driver's reason, where there is no GPU that can be
/// used. Starts threads of the driver's.
[[nodiscard]] MakeTensors cuda_tensors();

}  // namespace lmcache::load
