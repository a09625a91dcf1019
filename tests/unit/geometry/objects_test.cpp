// Sizes and offsets of objects: DeepSeek-V4-Flash's table and the other models of docs/LAYOUTS.md.
#include "support/kv_tensors.hpp"

#include <gtest/gtest.h>

namespace lmcache::test {
namespace {

Geometry build(const Registration& made, GeometryOptions options = {}) {
  return build_geometry(made.tensors, EngineType::kVllm, made.hints, made.infos, options).value();
}

Sizes iota(std::int64_t first, std::int64_t count, std::int64_t step = 1) {
  Sizes indices;
  for (std::int64_t i = 0; i < count; ++i) indices.push_back(first + i * step);
  return indices;
}

struct Row {
  int format;
  std::uint32_t layers, rows, width, ids, kept, rows_per_block;
  std::uint64_t bytes;
};

TEST(DeepSeekV4, KernelGroupsAreThoseOfTheTable) {
  const Geometry geometry = build(deepseek_v4(3));
  const std::vector<Row> table = {
      {12, 22, 128, 584, 4, 2, 64, 1644544}, {12, 21, 128, 584, 4, 2, 64, 1569792},
      {14, 21, 64, 132, 1, 1, 64, 177408},   {12, 21, 8, 2048, 64, 2, 4, 344064},
      {12, 21, 64, 584, 1, 1, 64, 784896},   {12, 21, 8, 8192, 64, 2, 4, 1376256},
      {12, 20, 2, 584, 1, 1, 2, 23360},      {12, 20, 128, 4096, 32, 16, 8, 10485760}};
  ASSERT_EQ(geometry.kernel_groups.size(), table.size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    SCOPED_TRACE(i);
    const KernelGroup& group = geometry.kernel_groups[i];
    EXPECT_EQ(static_cast<int>(group.format), table[i].format);
    EXPECT_EQ(group.layers, table[i].layers);
    EXPECT_EQ(group.kept_ids * group.slots_per_block, table[i].rows);
    EXPECT_EQ(group.row_bytes, table[i].width);
    EXPECT_EQ(group.ids_per_chunk, table[i].ids);
    EXPECT_EQ(group.kept_ids, table[i].kept);
    EXPECT_EQ(group.slots_per_block, table[i].rows_per_block);
    EXPECT_EQ(group.region_bytes, table[i].bytes);
    EXPECT_EQ(group.block_stride_bytes, 1002240u);
    EXPECT_EQ(group.num_blocks, 3u);
  }
}

TEST(DeepSeekV4, OneObject) {
  const Geometry geometry = build(deepseek_v4(3), {256, false, true});
  ASSERT_EQ(geometry.object_groups.size(), 1u);
  EXPECT_EQ(geometry.object_groups[0].bytes, 16406080u);
  EXPECT_EQ(geometry.object_groups[0].window_chunks, -1);
  const std::vector<std::uint64_t> offsets = {0,       1644544, 3214336, 3391744,
                                              3735808, 4520704, 5896960, 5920320};
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    EXPECT_EQ(geometry.kernel_groups[i].object_offset, offsets[i]) << i;
  }
}

TEST(DeepSeekV4, SeparatedObjects) {
  const Geometry geometry = build(deepseek_v4(3));
  ASSERT_EQ(geometry.object_groups.size(), 2u);
  EXPECT_EQ(geometry.object_groups[0].bytes, 15420416u);
  EXPECT_EQ(geometry.object_groups[0].window_chunks, 1);
  EXPECT_EQ(geometry.object_groups[1].bytes, 985664u);
  EXPECT_EQ(geometry.object_groups[1].window_chunks, -1);
  const std::vector<std::uint64_t> offsets = {0,      1644544, 0,      3214336,
                                              177408, 3558400, 962304, 4934656};
  const std::vector<std::uint32_t> objects = {0, 0, 1, 0, 1, 0, 1, 0};
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    EXPECT_EQ(geometry.kernel_groups[i].object_offset, offsets[i]) << i;
    EXPECT_EQ(geometry.kernel_groups[i].object_group, objects[i]) << i;
  }
}

TEST(DeepSeekV4, ChunkMustHoldWholeBlocks) {
  const Registration made = deepseek_v4(3);
  EXPECT_FALSE(
      build_geometry(made.tensors, EngineType::kVllm, made.hints, made.infos, {128, true, true}));
  EXPECT_TRUE(
      build_geometry(made.tensors, EngineType::kVllm, made.hints, made.infos, {512, true, true}));
}

TEST(DeepSeekV32, LatentAndIndexerShareOneObject) {
  Registration made{
      {}, {group_info(0, iota(0, 61, 2), 64), group_info(0, iota(1, 61, 2), 64)}, kv_layout("NHD")};
  for (int layer = 0; layer < 61; ++layer) {
    made.tensors.push_back(dense("uint8", {4, 64, 656}));
    made.tensors.push_back(dense("uint8", {4, 64, 132}));
  }
  const Geometry geometry = build(made);
  ASSERT_EQ(geometry.object_groups.size(), 1u);
  EXPECT_EQ(geometry.kernel_groups[0].region_bytes, 10244096u);
  EXPECT_EQ(geometry.kernel_groups[1].region_bytes, 2061312u);
  EXPECT_EQ(geometry.object_groups[0].bytes, 12305408u);
}

TEST(DenseModel, FusedAndSplitHaveEqualSizeAndOtherIdentity) {
  Registration fused{{}, {}, kv_layout("NHD")};
  Registration split = fused;
  for (int layer = 0; layer < 32; ++layer) {
    fused.tensors.push_back(dense("bfloat16", {4, 16, 8, 256}));
    split.tensors.push_back(dense("bfloat16", {4, 2, 16, 8, 128}));
  }
  const Geometry a = build(fused);
  const Geometry b = build(split);
  EXPECT_EQ(a.object_groups[0].bytes, 33554432u);
  EXPECT_EQ(b.object_groups[0].bytes, 33554432u);
  EXPECT_EQ(a.kernel_groups[0].planes, 1u);
  EXPECT_EQ(b.kernel_groups[0].planes, 2u);
  EXPECT_NE(a.fingerprint, b.fingerprint);
}

Registration hybrid(std::int64_t window) {
  Registration made{{},
                    {group_info(0, iota(0, 12, 2), 16), group_info(1, iota(1, 12, 2), 16, window)},
                    kv_layout("NHD")};
  for (int layer = 0; layer < 24; ++layer)
    made.tensors.push_back(dense("bfloat16", {4, 16, 8, 128}));
  return made;
}

TEST(HybridModel, WindowSmallerThanAChunkKeepsItsTail) {
  const Geometry geometry = build(hybrid(128));
  ASSERT_EQ(geometry.object_groups.size(), 2u);
  EXPECT_EQ(geometry.object_groups[0].bytes, 6291456u);
  EXPECT_EQ(geometry.object_groups[0].window_chunks, -1);
  EXPECT_EQ(geometry.object_groups[1].bytes, 3145728u);
  EXPECT_EQ(geometry.object_groups[1].window_chunks, 1);
  EXPECT_EQ(geometry.kernel_groups[1].ids_per_chunk, 16u);
  EXPECT_EQ(geometry.kernel_groups[1].kept_ids, 8u);
}

TEST(HybridModel, WindowOfSeveralChunksKeepsWholeChunks) {
  const Geometry geometry = build(hybrid(1024));
  EXPECT_EQ(geometry.object_groups[1].bytes, 6291456u);
  EXPECT_EQ(geometry.object_groups[1].window_chunks, 4);
  EXPECT_EQ(geometry.kernel_groups[1].kept_ids, 16u);
}

TEST(HybridModel, WindowThatIsNoWholeNumberOfChunksRoundsUp) {
  EXPECT_EQ(build(hybrid(257)).object_groups[1].window_chunks, 2);
  EXPECT_EQ(build(hybrid(256)).object_groups[1].window_chunks, 1);
}

TEST(HybridModel, NotSeparatedIsOneObjectStillCutToTheWindow) {
  const Geometry geometry = build(hybrid(128), {256, false, true});
  ASSERT_EQ(geometry.object_groups.size(), 1u);
  EXPECT_EQ(geometry.object_groups[0].bytes, 9437184u);
  EXPECT_EQ(geometry.object_groups[0].window_chunks, -1);
}

TEST(ObjectGroups, PrivateGroupsComeLastWhereverTheyAreRegistered) {
  Registration made{{dense("bfloat16", {4, 32, 96}), dense("bfloat16", {4, 16, 8, 128})},
                    {group_info(1, {0}, 32), group_info(0, {1}, 16)},
                    kv_layout("NHD")};
  made.infos[0].extra_object_group_tag = 1;
  const Geometry geometry = build(made);
  ASSERT_EQ(geometry.object_groups.size(), 2u);
  EXPECT_EQ(geometry.object_groups[0].kernel_groups, (std::vector<std::uint32_t>{1}));
  EXPECT_FALSE(geometry.object_groups[0].auxiliary);
  EXPECT_EQ(geometry.object_groups[1].kernel_groups, (std::vector<std::uint32_t>{0}));
  EXPECT_TRUE(geometry.object_groups[1].auxiliary);
}

TEST(ObjectGroups, RecurrentStateIsKeptApartFromAttentionOfEqualWindow) {
  Registration made{{dense("bfloat16", {4, 16, 8, 128}), dense("float32", {4, 1, 1, 4096})},
                    {group_info(0, {0}, 16, 256), group_info(1, {1}, 256, 256)},
                    kv_layout("NHD")};
  EXPECT_EQ(build(made).object_groups.size(), 1u);
  made.infos[1].recurrent_state = true;
  EXPECT_EQ(build(made).object_groups.size(), 2u);
}

TEST(ObjectGroups, AtMost64) {
  Registration made{{}, {}, kv_layout("NHD")};
  for (std::int64_t i = 0; i < 65; ++i) {
    made.tensors.push_back(dense("bfloat16", {4, 16, 8, 8}));
    made.infos.push_back(group_info(i, {i}, 16, 256 * (i + 1)));
  }
  const auto build_it = [&](bool separate) {
    return build_geometry(made.tensors, EngineType::kVllm, made.hints, made.infos,
                          {256, separate, true});
  };
  EXPECT_FALSE(build_it(true));
  EXPECT_TRUE(build_it(false));
  made.tensors.pop_back();
  made.infos.pop_back();
  EXPECT_TRUE(build_it(true));
}

TEST(TrtLlm, PoolOfAllLayers) {
  LayoutHints hints;
  hints.num_kv_heads = 4;
  hints.tokens_per_block = 32;
  hints.head_dim = 64;
  const std::vector<TensorDesc> pool = {dense("bfloat16", {5, 6, 2, 4 * 32 * 64})};
  const Geometry geometry = build_geometry(pool, EngineType::kTrtllm, hints, {}, {}).value();
  ASSERT_EQ(geometry.kernel_groups.size(), 1u);
  const KernelGroup& group = geometry.kernel_groups[0];
  EXPECT_EQ(group.format, KvFormat::kNbNlTwoNhBsHs);
  EXPECT_EQ(group.layers, 6u);
  EXPECT_EQ(group.heads, 4u);
  EXPECT_EQ(group.slots_per_block, 32u);
  EXPECT_EQ(group.num_blocks, 5u);
  EXPECT_EQ(group.block_stride_bytes, 6u * 2 * 4 * 32 * 64 * 2);
  ASSERT_EQ(group.origins.size(), 12u);
  EXPECT_EQ(group.origins[6].offset, 4u * 32 * 64 * 2);  // V of layer 0
  EXPECT_EQ(group.region_bytes, 2u * 6 * 256 * 4 * 64 * 2);
}

}  // namespace
}  // namespace lmcache::test
