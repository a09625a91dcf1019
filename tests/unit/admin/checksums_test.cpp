// Which bytes go into a digest, in which order. Digests of real tensors are compared with torch's
// in tests/admin.
#include "admin/checksums.hpp"

#include <gmock/gmock.h>

#include <cstring>
#include <numeric>

namespace lmcache::admin {
namespace {

constexpr std::size_t kPage = 4;  // bytes

/// Two layers of `planes` planes with 3 blocks of one row of 4 bytes each.
struct Fixture {
  explicit Fixture(KvFormat format, std::string dtype = "uint8") {
    KernelGroup group;
    group.format = format;
    group.dtype = std::move(dtype);
    group.slots_per_block = 1;
    group.row_bytes = kPage;
    group.num_blocks = 3;
    const bool outside = format == KvFormat::kNlXTwoNbBsNhHs;
    group.block_stride_bytes = outside ? kPage : 2 * kPage;
    const std::uint64_t second_plane = outside ? 3 * kPage : kPage;
    group.origins = {{0, 0}, {1, 0}, {0, second_plane}, {1, second_plane}};
    geometry.kernel_groups.push_back(group);
    for (auto& layer : memory) {
      layer.resize(6 * kPage);
      for (std::size_t i = 0; i < layer.size(); ++i)
        layer[i] = static_cast<std::byte>(i + (&layer == &memory[1] ? 100 : 0));
    }
  }

  /// What is read for the ids, as numbers.
  std::vector<int> read(std::vector<std::int64_t> ids) {
    std::vector<int> out;
    const auto tensors = tensor_pages(geometry);
    std::vector<std::byte*> bases{memory[0].data(), memory[1].data()};
    const auto digests =
        block_checksums(tensors, bases, ids, ids.size(), true,
                        [&](const std::vector<copy::Run>& runs, const auto&) {
                          std::vector<std::pair<std::byte*, int>> places;
                          for (const copy::Run& run : runs) {
                            std::memcpy(run.object, run.page, run.bytes);
                            places.emplace_back(run.object, std::to_integer<int>(run.page[0]));
                          }
                          std::ranges::sort(places);
                          for (const auto& [place, first] : places) out.push_back(first);
                          return Status();
                        });
    EXPECT_TRUE(digests);
    return out;
  }

  Geometry geometry;
  std::array<std::vector<std::byte>, 2> memory;
};

TEST(Checksums, BlocksOutsidePlanesInside) {
  Fixture fixture(KvFormat::kNlXNbTwoBsNhHs);
  EXPECT_THAT(fixture.read({2, 0}), testing::ElementsAre(16, 20, 0, 4, 116, 120, 100, 104));
}

TEST(Checksums, PlanesOutsideBlocksInside) {
  Fixture fixture(KvFormat::kNlXTwoNbBsNhHs);
  EXPECT_THAT(fixture.read({2, 0}), testing::ElementsAre(8, 0, 20, 12, 108, 100, 120, 112));
}

Json digests_of(Fixture& fixture, std::size_t blocks_per_chunk, bool layerwise,
                int* reads = nullptr) {
  const auto tensors = tensor_pages(fixture.geometry);
  std::vector<std::byte*> bases{fixture.memory[0].data(), fixture.memory[1].data()};
  const std::vector<std::int64_t> ids{0, 1, 2};
  return *block_checksums(tensors, bases, ids, blocks_per_chunk, layerwise,
                          [reads](const std::vector<copy::Run>& runs, const auto&) {
                            if (reads != nullptr) ++*reads;
                            std::uint64_t bytes = 0;
                            for (const copy::Run& run : runs) {
                              std::memcpy(run.object, run.page, run.bytes);
                              bytes += run.bytes;
                            }
                            EXPECT_LE(bytes, kChecksumPartBytes);
                            return Status();
                          });
}

TEST(Checksums, OnePerChunkAndTheLastMayBeShort) {
  Fixture fixture(KvFormat::kNlXNbTwoBsNhHs);
  EXPECT_EQ(digests_of(fixture, 2, false).size(), 2u);
  const Json layers = digests_of(fixture, 2, true);
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers["layer_1"].size(), 2u);
  // MD5 of bytes 0..23
  EXPECT_EQ(digests_of(fixture, 99, true)["layer_0"][0], "8bd9c8efbbac58748951ca5a45cfd386");
}

TEST(Checksums, Bfloat16IsWidened) {
  Fixture bytes(KvFormat::kNlXNbTwoBsNhHs), halves(KvFormat::kNlXNbTwoBsNhHs, "bfloat16");
  // MD5 of 0 0 0 1, 0 0 2 3, ... 0 0 22 23
  EXPECT_EQ(digests_of(halves, 99, true)["layer_0"][0], "e0e612d2a296f1d95b17a38681c8c0ae");
  EXPECT_NE(digests_of(halves, 99, false), digests_of(bytes, 99, false));
}

// Each read waits for its turn among engines' copies.
TEST(Checksums, ChunksAndTensorsAreReadTogether) {
  Fixture fixture(KvFormat::kNlXNbTwoBsNhHs);
  int reads = 0;
  const Json apart = digests_of(fixture, 1, true, &reads);
  EXPECT_EQ(reads, 1);
  EXPECT_EQ(apart["layer_1"].size(), 3u);
  EXPECT_EQ(apart["layer_0"][0], "3677509751ccf61539174d2b9635a7bf");  // MD5 of bytes 0..7
}

TEST(Checksums, WhatIsLargeIsReadInParts) {
  Geometry geometry;
  KernelGroup& group = geometry.kernel_groups.emplace_back();
  group.dtype = "uint8";
  group.slots_per_block = 1;
  group.row_bytes = 20u << 20;
  group.num_blocks = 1;
  group.origins = {{0, 0}};
  std::vector<std::byte> memory(group.row_bytes);
  const auto tensors = tensor_pages(geometry);
  std::vector<std::byte*> bases{memory.data()};
  const std::vector<std::int64_t> ids{0};
  int reads = 0;
  const auto digests = block_checksums(tensors, bases, ids, 1, false,
                                       [&](const std::vector<copy::Run>& runs, const auto&) {
                                         ++reads;
                                         EXPECT_EQ(runs.size(), 1u);
                                         EXPECT_LE(runs[0].bytes, kChecksumPartBytes);
                                         return Status();  // zeros are there already
                                       });
  EXPECT_EQ(reads, 2);
  EXPECT_EQ(digests.value()[0], "8f4e33f3dc3e414ff94e5fb6905cba8c");
}

TEST(Checksums, MemoryThatHasGoneIsNoDigest) {
  Fixture fixture(KvFormat::kNlXNbTwoBsNhHs);
  const auto tensors = tensor_pages(fixture.geometry);
  std::vector<std::byte*> bases{fixture.memory[0].data(), fixture.memory[1].data()};
  const std::vector<std::int64_t> ids{0};
  const auto digests = block_checksums(tensors, bases, ids, 1, false, [](const auto&, const auto&) {
    return Status(Error{Cause::kCopyFailed, "gone"});
  });
  ASSERT_FALSE(digests);
  EXPECT_EQ(digests.error().text, "gone");
}

TEST(Compressed, ThreeInARowAreARange) {
  const auto of = [](std::vector<std::int64_t> ids) { return compressed(ids).dump(); };
  EXPECT_EQ(of({}), "[]");
  EXPECT_EQ(of({1, 2, 3, 4, 5, 7, 8}), "[[1,5],7,8]");
  EXPECT_EQ(of({5, 3, 1, 2, 4}), "[5,3,1,2,4]");
}

}  // namespace
}  // namespace lmcache::admin
