// What a registration is refused for, and that the message names it.
#include "support/kv_tensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmcache::test {
namespace {

using ::testing::HasSubstr;

Result<Geometry> try_build(const Registration& made, GeometryOptions options = {}) {
  return build_geometry(made.tensors, EngineType::kVllm, made.hints, made.infos, options);
}

std::string refusal(const Registration& made, GeometryOptions options = {}) {
  const Result<Geometry> geometry = try_build(made, options);
  if (geometry) return "accepted";
  EXPECT_EQ(geometry.error().cause, Cause::kBadGeometry);
  return geometry.error().text;
}

Registration two_layers() {
  return {{dense("bfloat16", {4, 16, 8, 128}), dense("bfloat16", {4, 16, 8, 128})},
          {group_info(0, {0, 1}, 16)},
          kv_layout("NHD")};
}

TEST(Checks, MismatchNamesBothGroupings) {
  Registration made = two_layers();
  made.infos = {group_info(0, {0}, 16), group_info(0, {1}, 16)};
  const std::string text = refusal(made);
  EXPECT_THAT(text, HasSubstr("1 groups of layers [0-1]"));
  EXPECT_THAT(text, HasSubstr("infos say 2 [0] [1]"));
}

TEST(Checks, OrderOfTheClientsGroupsCounts) {
  Registration made = two_layers();
  made.infos = {group_info(1, {1}, 16), group_info(0, {0}, 16)};
  EXPECT_THAT(refusal(made), HasSubstr("[0] [1]"));
  std::swap(made.infos[0], made.infos[1]);
  EXPECT_TRUE(try_build(made));
}

TEST(Checks, LayersInNoGroupAreNotLookedAt) {
  Registration made = two_layers();
  made.tensors.push_back({"no such dtype", {-3, 0}, {1}, -1, 0});
  const Geometry geometry = try_build(made).value();
  EXPECT_EQ(geometry.kernel_groups[0].layers, 2u);
  EXPECT_EQ(geometry.num_tensors, 3u);
}

TEST(Checks, ALayerBelongsToOneInfo) {
  Registration made = two_layers();
  made.infos = {group_info(0, {0, 1}, 16), group_info(1, {1}, 16)};
  EXPECT_THAT(refusal(made), HasSubstr("two group infos"));
}

TEST(Checks, IndicesAndEngineGroupsAreBounded) {
  Registration made = two_layers();
  made.infos = {group_info(0, {0, 2}, 16)};
  EXPECT_THAT(refusal(made), HasSubstr("layer 2 of 2"));
  made.infos = {group_info(0, {-1}, 16)};
  EXPECT_THAT(refusal(made), HasSubstr("layer -1"));
  made.infos = {group_info(-1, {0, 1}, 16)};
  EXPECT_THAT(refusal(made), HasSubstr("engine group id -1"));
  made.infos = {group_info(INT64_MAX, {0, 1}, 16)};
  EXPECT_THAT(refusal(made), HasSubstr("engine group id"));
}

TEST(Checks, BlockSizesAndWindowsMustFitTheChunk) {
  Registration made = two_layers();
  made.infos[0].tokens_per_block = 24;
  EXPECT_THAT(refusal(made), HasSubstr("not a multiple of the 16 rows"));
  made.infos[0].tokens_per_block = 512;
  EXPECT_THAT(refusal(made), HasSubstr("chunk size 256"));
  made.infos[0].tokens_per_block = -16;
  EXPECT_THAT(refusal(made), HasSubstr("negative tokens_per_block"));
  made.infos[0].tokens_per_block = 16;
  made.infos[0].sw_size_tokens = 40;
  EXPECT_THAT(refusal(made), HasSubstr("sliding window 40"));
  made.infos[0].sw_size_tokens = -2;
  EXPECT_THAT(refusal(made), HasSubstr("sliding window of -2"));
  made.infos[0].sw_size_tokens = INT64_MAX;
  EXPECT_EQ(try_build(made).value().object_groups[0].window_chunks, INT32_MAX);
  made.infos[0].extra_object_group_tag = -1;
  EXPECT_THAT(refusal(made), HasSubstr("extra_object_group_tag"));
}

TEST(Checks, AWindowOfNoTokensIsNone) {
  Registration made = two_layers();
  const Geometry without = try_build(made).value();
  made.infos[0].sw_size_tokens = 0;
  const Geometry zero = try_build(made).value();
  EXPECT_EQ(zero.kernel_groups[0].window_tokens, -1);
  EXPECT_EQ(zero.fingerprint, without.fingerprint);
  EXPECT_EQ(zero.object_groups[0].window_chunks, without.object_groups[0].window_chunks);
}

TEST(Checks, UnreportedBlockSizeIsTheRowsOfABlock) {
  Registration made = two_layers();
  made.infos[0].tokens_per_block = 0;
  EXPECT_EQ(try_build(made).value().kernel_groups[0].tokens_per_block, 16u);
  made.infos.clear();
  EXPECT_EQ(try_build(made).value().kernel_groups[0].ids_per_chunk, 16u);
}

TEST(Checks, BlocksOfAGroupMustBeEquallyFarApart) {
  Registration made = two_layers();
  made.tensors[1] = strided("bfloat16", {4, 16, 8, 128}, {20000, 1024, 128, 1});
  EXPECT_THAT(refusal(made), HasSubstr("blocks are 32768 and 40000 bytes apart"));
  made.tensors[0] = made.tensors[1];
  EXPECT_EQ(try_build(made).value().kernel_groups[0].block_stride_bytes, 40000u);
}

TEST(Checks, TheSmallestLayerLimitsTheIds) {
  Registration made = two_layers();
  made.tensors[0] = dense("bfloat16", {9, 16, 8, 128});
  EXPECT_EQ(try_build(made).value().kernel_groups[0].num_blocks, 4u);
}

TEST(Checks, OneByteBeyondTheSegmentIsRefused) {
  Registration made = two_layers();
  --made.tensors[1].segment_bytes;
  EXPECT_THAT(refusal(made), HasSubstr("beyond its segment of 131071 bytes"));
  made = two_layers();
  made.tensors[1].storage_offset = 1;
  EXPECT_THAT(refusal(made), HasSubstr("beyond its segment"));
}

TEST(Checks, SizesThatOverflowAreRefused) {
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const std::vector<TensorDesc> hostile = {
      {"bfloat16", {kHuge, 16, 8, 128}, {16384, 1024, 128, 1}, 0, 1u << 20},
      {"bfloat16", {4, 16, 8, 128}, {kHuge, 1024, 128, 1}, 0, 1u << 20},
      {"bfloat16", {4, 16, 8, 128}, {16384, 1024, 128, 1}, kHuge, 1u << 20},
      {"bfloat16", {kHuge, 4, 8, 128}, {0, 0, 0, 0}, 0, UINT64_MAX},
      {"bfloat16", {4, 16, 8, 128}, {0, 0, 0, 0}, 0, 1u << 20},
      {"bfloat16", {0, 16, 8, 128}, {16384, 1024, 128, 1}, 0, 1u << 20},
      {"bfloat16", {4, 16, -8, 128}, {16384, 1024, 128, 1}, 0, 1u << 20},
      {"bfloat16", {4, 16, 8, 128}, {16384, -1024, 128, 1}, 0, 1u << 20},
      {"bfloat16", {4, 16, 8, 128}, {16384, 1024, 128, 1}, -1, 1u << 20},
      {"bfloat16", {4, 16, 8, 128}, {16384, 1024, 128}, 0, 1u << 20},
      {"bfloat16", {}, {}, 0, 1u << 20},
      {"bfloat16", {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 0, 1u << 20},
      {"quantum", {4, 16, 8, 128}, {16384, 1024, 128, 1}, 0, 1u << 20}};
  for (std::size_t i = 0; i < hostile.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_NE(refusal({{hostile[i]}, {}, kv_layout("NHD")}), "accepted");
  }
}

TEST(Checks, CountsAreBounded) {
  EXPECT_THAT(refusal({}), HasSubstr("0 tensors"));
  EXPECT_THAT(refusal({std::vector<TensorDesc>(8193, dense("bfloat16", {4, 16, 8, 8})), {}, {}}),
              HasSubstr("8193 tensors"));
  Registration made = two_layers();
  made.infos.resize(513);
  EXPECT_THAT(refusal(made), HasSubstr("513 group infos"));
  EXPECT_THAT(refusal(two_layers(), {0, true, true}), HasSubstr("chunk size is 0"));
}

TEST(Checks, TextOfErrorsStaysPrintableAndShort) {
  Registration made = two_layers();
  made.tensors[0].dtype = std::string("bad\n\x01") + std::string(100000, 'x');
  const std::string text = refusal(made);
  EXPECT_LT(text.size(), 400u);
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(Formats, CrossLayerTensorOfVllm) {
  Registration made{{dense("bfloat16", {5, 3, 2, 16, 8, 64})}, {}, {}};
  EXPECT_EQ(try_build(made).value().kernel_groups[0].format, KvFormat::kNbNlTwoBsNhHs);
  made.hints = kv_layout("HND");
  EXPECT_EQ(try_build(made).value().kernel_groups[0].format, KvFormat::kNbNlTwoNhBsHs);
  made.infos = {group_info(0, {0, 2}, 8)};
  const Geometry geometry = try_build(made).value();
  EXPECT_EQ(geometry.kernel_groups[0].layer_indices, (std::vector<std::uint32_t>{0, 2}));
  made.tensors = {dense("bfloat16", {2, 3, 2, 1, 8, 64})};
  made.infos.clear();
  EXPECT_THAT(refusal(made), HasSubstr("format 15"));
}

TEST(Formats, SglangPoolsOfTokens) {
  const auto build_sglang = [](std::vector<TensorDesc> tensors, const LayoutHints& hints,
                               std::vector<GroupInfo> infos) {
    return build_geometry(tensors, EngineType::kSglang, hints, infos, {});
  };
  LayoutHints pairs;
  pairs.kv_list_layout = "k_v";
  const std::vector<TensorDesc> kv(4, dense("bfloat16", {64, 8, 32}));
  // Without the hint the infos say how many tokens a block has.
  const auto from_infos = build_sglang(kv, pairs, {group_info(0, {0, 1}, 16)});
  EXPECT_EQ(from_infos.value().kernel_groups[0].format, KvFormat::kTwoXNlXNbbsNhHs);
  EXPECT_EQ(from_infos.value().kernel_groups[0].num_blocks, 4u);
  EXPECT_EQ(from_infos.value().kernel_groups[0].origins[2].tensor, 2u);
  EXPECT_FALSE(build_sglang(kv, pairs, {}));
  pairs.tokens_per_block = 16;
  EXPECT_EQ(build_sglang(kv, pairs, {}).value().kernel_groups[0].format,
            KvFormat::kTwoXNlXNbBsNhHs);
  EXPECT_FALSE(build_sglang({kv[0], kv[1], kv[2]}, pairs, {}));
  EXPECT_FALSE(build_sglang({kv[0], dense("float16", {64, 8, 32})}, pairs, {}));
  EXPECT_FALSE(build_sglang({kv[0], dense("bfloat16", {64, 4, 64})}, pairs, {}));

  const std::vector<TensorDesc> mla(2, dense("bfloat16", {64, 1, 576}));
  const auto tokens = build_sglang(mla, {}, {group_info(0, {0, 1}, 16)});
  EXPECT_EQ(tokens.value().kernel_groups[0].format, KvFormat::kNlXNbbsOneHs);
  EXPECT_EQ(tokens.value().kernel_groups[0].num_blocks, 4u);
  EXPECT_FALSE(build_sglang(mla, {}, {}));
  EXPECT_FALSE(build_sglang({strided("bfloat16", {64, 1, 576}, {600, 576, 1})}, {},
                            {group_info(0, {0}, 16)}));
}

}  // namespace
}  // namespace lmcache::test
