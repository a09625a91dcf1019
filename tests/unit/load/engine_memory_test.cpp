#include "load/engine_memory.hpp"
#include "load/shared_memory.hpp"
#include "wire/descriptors.hpp"
#include "wire/requests.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

namespace lmcache::load {
namespace {

constexpr std::uint32_t kChunkTokens = 256;

std::uint64_t total(const std::vector<Page>& pages) {
  std::uint64_t bytes = 0;
  for (const Page& page : pages) bytes += page.bytes;
  return bytes;
}

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

/// Records what it is asked for.
class Recorder final : public TensorMemory {
 public:
  explicit Recorder(std::vector<std::uint64_t> sizes) : segment_bytes(std::move(sizes)) {}
  void write(std::span<const Page> all, const Make&) override {
    pages.assign(all.begin(), all.end());
  }
  void read(std::span<const Page> all, const See&) override {
    pages.assign(all.begin(), all.end());
  }
  void wipe() override {}
  wire::Bytes descriptor(std::size_t, const TensorDesc&) const override { return {}; }
  void registered() override {}
  wire::Bytes event() override { return {}; }
  void wait(wire::ByteView, const std::function<void()>&) override {}

  std::vector<std::uint64_t> segment_bytes;
  std::vector<Page> pages;
};

TEST(EngineMemory, PagesLieInTheirSegmentsAndApart) {
  for (const auto make : {&geometry::dense_bf16, &geometry::deepseek_v4}) {
    EngineMemory memory(
        make, kChunkTokens, 2,
        [](const std::vector<std::uint64_t>& sizes) -> std::unique_ptr<TensorMemory> {
          return std::make_unique<Recorder>(sizes);
        });
    auto& recorder = dynamic_cast<Recorder&>(memory.tensors());
    memory.fill(1);
    std::vector<Page> pages = recorder.pages;
    EXPECT_EQ(total(pages), memory.stored_bytes());
    std::ranges::sort(pages, {},
                      [](const Page& page) { return std::pair(page.segment, page.offset); });
    for (std::size_t i = 0; i < pages.size(); ++i) {
      ASSERT_LE(pages[i].offset + pages[i].bytes, recorder.segment_bytes.at(pages[i].segment));
      const bool first = i == 0 || pages[i].segment != pages[i - 1].segment;
      ASSERT_GE(pages[i].offset, first ? 0 : pages[i - 1].offset + pages[i - 1].bytes);
    }
    EXPECT_EQ(memory.bad_blocks(1), 0u);
    EXPECT_EQ(total(recorder.pages), memory.retrieved_bytes()) << "no more is read than comes back";
  }
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
