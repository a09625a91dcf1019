// Tensors in shared memory: what is written to them is there at once, and a transfer has ended when
// it is answered.
#include "load/descriptors.hpp"
#include "load/shared_memory.hpp"
#include "load/tensor_memory.hpp"

#include <algorithm>
#include <string_view>

namespace lmcache::load {
namespace {

constexpr std::string_view kCpuEvent = "stub_ipc_handle";  // an event that is always over

class SharedTensors final : public TensorMemory {
 public:
  explicit SharedTensors(const std::vector<std::uint64_t>& segment_bytes) {
    for (const std::uint64_t bytes : segment_bytes)
      segments_.push_back(std::make_unique<SharedMemory>(bytes));
  }

  void write(std::span<const Page> pages, const Make& make) override {
    for (std::size_t i = 0; i < pages.size(); ++i) make(i, at(pages[i]));
  }
  void read(std::span<const Page> pages, const See& see) override {
    for (std::size_t i = 0; i < pages.size(); ++i) see(i, at(pages[i]));
  }
  void wipe() override {
    for (const auto& segment : segments_)
      std::fill_n(segment->data(), segment->size(), std::byte{0});
  }

  wire::Bytes descriptor(std::size_t segment, const TensorDesc& tensor) const override {
    return shared_descriptor(segments_[segment]->name(), segments_[segment]->size(), tensor);
  }
  /// Nothing is left behind from now on, however this ends.
  void registered() override {
    for (const auto& segment : segments_) segment->unlink();
  }

  wire::Bytes event() override {
    const auto bytes = std::as_bytes(std::span(kCpuEvent));
    return {bytes.begin(), bytes.end()};
  }
  void wait(wire::ByteView, const std::function<void()>&) override {}

 private:
  [[nodiscard]] std::span<std::byte> at(const Page& page) const {
    return {segments_[page.segment]->data() + page.offset, page.bytes};
  }

  std::vector<std::unique_ptr<SharedMemory>> segments_;
};

}  // namespace

std::unique_ptr<TensorMemory> make_shared_tensors(const std::vector<std::uint64_t>& segment_bytes) {
  return std::make_unique<SharedTensors>(segment_bytes);
}

}  // namespace lmcache::load
