// Descriptors of tensors, read by the server's decoder.
#include "load/descriptors.hpp"
#include "geometry/models.hpp"
#include "wire/descriptors.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lmcache::load {
namespace {

const TensorDesc kTensor = geometry::strided("bfloat16", {3, 4, 5}, {40, 5, 1}, 7);

void expect_view(const wire::Descriptor& read, const std::string& device) {
  EXPECT_EQ(read.dtype, "bfloat16");
  EXPECT_EQ(read.shape, kTensor.shape);
  EXPECT_EQ(read.stride, kTensor.stride);
  EXPECT_EQ(read.storage_offset, 7);
  EXPECT_EQ(read.device_uuid, device);
}

TEST(Descriptors, OfSharedMemory) {
  const auto read = wire::decode_descriptor(shared_descriptor("/name", 4096, kTensor));
  ASSERT_TRUE(read) << read.error().text;
  expect_view(*read, "cpu");
  const auto& memory = std::get<wire::CpuShmMemory>(read->memory);
  EXPECT_EQ(memory.shm_name, "/name");
  EXPECT_EQ(memory.nbytes, 4096u);
}

TEST(Descriptors, OfCudaMemory) {
  std::array<std::byte, 64> handle;
  for (std::size_t i = 0; i < handle.size(); ++i) handle[i] = static_cast<std::byte>(200 - i);
  const auto read = wire::decode_descriptor(cuda_descriptor(handle, 1u << 30, "a-uuid", kTensor));
  ASSERT_TRUE(read) << read.error().text;
  expect_view(*read, "a-uuid");
  const auto& memory = std::get<wire::CudaMemory>(read->memory);
  EXPECT_EQ(memory.handle, handle);
  EXPECT_FALSE(memory.empty);
  EXPECT_EQ(memory.storage_bytes, 1u << 30);
  EXPECT_EQ(memory.storage_offset_bytes, 0u);
  EXPECT_FALSE(memory.counter_file.empty()) << "torch takes no nil";
  EXPECT_FALSE(memory.event_required);
}

}  // namespace
}  // namespace lmcache::load
