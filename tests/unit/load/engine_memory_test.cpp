#include "load/engine_memory.hpp"
#include "wire/descriptors.hpp"
#include "wire/requests.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace lmcache::load {
namespace {

constexpr std::uint32_t kChunkTokens = 256;

TEST(EngineMemory, WhatWasFilledIsToldFromWhatWasNot) {
  for (const auto make : {&geometry::dense_bf16, &geometry::deepseek_v4}) {
    EngineMemory memory(make, kChunkTokens, 2);
    memory.fill(1);
    EXPECT_EQ(memory.bad_blocks(1), 0u);
    EXPECT_EQ(memory.bad_blocks(2), memory.retrieved_blocks());
    memory.wipe();
    EXPECT_EQ(memory.bad_blocks(1), memory.retrieved_blocks());
  }
}

TEST(EngineMemory, OfWindowedGroupsLessComesBack) {
  const EngineMemory dense(&geometry::dense_bf16, kChunkTokens, 3);
  EXPECT_EQ(dense.stored_bytes(), 3u * kChunkTokens * 128 * 1024);
  EXPECT_EQ(dense.retrieved_bytes(), dense.stored_bytes());
  EXPECT_EQ(dense.retrieved_blocks(), 3u * kChunkTokens / 16);
  const EngineMemory windowed(&geometry::deepseek_v4, kChunkTokens, 3);
  EXPECT_LT(windowed.retrieved_bytes(), windowed.stored_bytes());
}

TEST(EngineMemory, TheServerReadsItsRegistration) {
  const EngineMemory memory(&geometry::deepseek_v4, kChunkTokens, 1);
  const Frames frames = memory.registration(7, "m");
  wire::MsgpackReader tensors(frames.at(1));
  std::size_t count = 0;
  ASSERT_TRUE(tensors.read_array(count));
  EXPECT_EQ(count, 167u);
  for (std::size_t i = 0; i < count; ++i) {
    std::int8_t type = 0;
    wire::ByteView data;
    ASSERT_TRUE(tensors.read_ext(type, data));
    const auto descriptor = wire::decode_descriptor(data);
    ASSERT_TRUE(descriptor) << descriptor.error().text;
    EXPECT_TRUE(std::holds_alternative<wire::CpuShmMemory>(descriptor->memory));
  }
  EXPECT_TRUE(tensors.finished());
}

TEST(EngineMemory, ThatDoesNotGoWithTheChunkIsRefused) {
  EXPECT_THROW(EngineMemory(&geometry::dense_bf16, 24, 1), std::runtime_error);
}

TEST(SharedMemory, LeavesNothingBehind) {
  std::string name;
  const auto exists = [&] { return std::ifstream("/dev/shm" + name).good(); };
  {
    SharedMemory memory(4096);
    name = memory.name();
    EXPECT_TRUE(exists());
    memory.unlink();
    EXPECT_FALSE(exists());
    memory.data()[4095] = std::byte{1};
  }
  {
    const SharedMemory memory(4096);
    name = memory.name();
    EXPECT_TRUE(exists());
  }
  EXPECT_FALSE(exists());
}

TEST(SharedMemory, TooMuchIsAnErrorBeforeItIsTouched) {
  EXPECT_THROW(SharedMemory(std::size_t{1} << 50), std::runtime_error);
}

}  // namespace
}  // namespace lmcache::load
