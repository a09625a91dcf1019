// Which registrations may exchange objects.
#include "geometry/fingerprint.hpp"
#include "support/kv_tensors.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace lmcache::test {
namespace {

Fingerprint of(EngineType engine, std::vector<TensorDesc> tensors, const LayoutHints& hints,
               std::vector<GroupInfo> infos = {}, GeometryOptions options = {}) {
  return build_geometry(tensors, engine, hints, infos, options).value().fingerprint;
}

Fingerprint vllm(Sizes shape, const std::string& layout, std::int64_t tokens_per_block,
                 const std::string& dtype = "bfloat16") {
  return of(EngineType::kVllm, {dense(dtype, shape), dense(dtype, shape)}, kv_layout(layout),
            {group_info(0, {0, 1}, tokens_per_block)});
}

TEST(FingerprintTest, EqualObjectBytesShareIt) {
  const Fingerprint base = vllm({4, 2, 16, 8, 64}, "NHD", 16);
  EXPECT_EQ(base, vllm({2, 4, 16, 8, 64}, "NHD", 16));  // K/V first
  EXPECT_EQ(base, vllm({4, 2, 8, 16, 64}, "HND", 16));  // heads outside
  EXPECT_EQ(base, vllm({9, 2, 32, 8, 64}, "NHD", 32));  // larger blocks, more of them
  LayoutHints pairs;
  pairs.kv_list_layout = "k_v";
  pairs.tokens_per_block = 16;
  EXPECT_EQ(base, of(EngineType::kSglang,
                     std::vector<TensorDesc>(4, dense("bfloat16", {64, 8, 64})), pairs));
  LayoutHints trtllm;
  trtllm.num_kv_heads = 8;
  trtllm.tokens_per_block = 32;
  trtllm.head_dim = 64;
  EXPECT_EQ(base, of(EngineType::kTrtllm, {dense("bfloat16", {4, 2, 2, 8 * 32 * 64})}, trtllm));
  EXPECT_EQ(vllm({4, 16, 8, 128}, "NHD", 16), vllm({4, 8, 16, 128}, "HND", 16));
}

TEST(FingerprintTest, WhatChangesTheBytesChangesIt) {
  const Fingerprint base = vllm({4, 2, 16, 8, 64}, "NHD", 16);
  EXPECT_NE(base, vllm({4, 2, 16, 8, 64}, "NHD", 16, "float16"));
  EXPECT_NE(base, vllm({4, 2, 16, 4, 128}, "NHD", 16));  // equal row bytes
  EXPECT_NE(base, vllm({4, 16, 8, 128}, "NHD", 16));     // fused rows
  EXPECT_NE(base, vllm({4, 2, 16, 8, 64}, "NHD", 32));   // two tokens a row
}

TEST(FingerprintTest, OpaquePagesDependOnTheBlockSize) {
  EXPECT_NE(vllm({4, 64, 584}, "NHD", 64, "uint8"), vllm({4, 32, 584}, "NHD", 32, "uint8"));
  EXPECT_EQ(vllm({4, 64, 584}, "NHD", 64, "float32"), vllm({4, 32, 584}, "NHD", 32, "float32"));
  EXPECT_EQ(vllm({4, 64, 132}, "NHD", 64, "uint8"), vllm({4, 32, 132}, "NHD", 32, "uint8"));
}

TEST(FingerprintTest, GroupsWindowsAndOptionsCount) {
  const auto variant = [](const std::function<void(std::vector<GroupInfo>&)>& change,
                          GeometryOptions options = {}) {
    std::vector<GroupInfo> infos = {group_info(0, {0}, 16), group_info(1, {1}, 16, 128)};
    change(infos);
    return of(EngineType::kVllm, std::vector<TensorDesc>(2, dense("bfloat16", {4, 16, 8, 64})),
              kv_layout("NHD"), infos, options);
  };
  const auto nothing = [](std::vector<GroupInfo>&) {};
  const Fingerprint base = variant(nothing);
  EXPECT_EQ(base, variant(nothing));
  EXPECT_NE(base, variant([](auto& infos) { infos[1].sw_size_tokens = 64; }));
  EXPECT_NE(base, variant([](auto& infos) { infos[1].sw_size_tokens = -1; }));
  EXPECT_NE(base, variant([](auto& infos) { infos[1].recurrent_state = true; }));
  EXPECT_NE(base, variant([](auto& infos) { infos[1].extra_object_group_tag = 1; }));
  EXPECT_NE(base, variant([](auto& infos) {
              std::swap(infos[0].sw_size_tokens, infos[1].sw_size_tokens);
            }));
  EXPECT_NE(base, variant(nothing, {256, false, true}));
  EXPECT_NE(base, variant(nothing, {512, true, true}));
}

TEST(FingerprintTest, AssignmentOfLayersCounts) {
  const auto with = [](Sizes a, Sizes b) {
    return of(EngineType::kVllm, std::vector<TensorDesc>(4, dense("bfloat16", {4, 16, 8, 64})),
              kv_layout("NHD"), {group_info(0, std::move(a), 16), group_info(1, std::move(b), 16)});
  };
  EXPECT_NE(with({0, 1}, {2, 3}), with({0, 2}, {1, 3}));
}

TEST(FingerprintTest, IsStableAcrossReleases) {
  // A change here makes every object that is already stored unusable: raise the text's version on
  // purpose, not by accident.
  const Registration made = deepseek_v4(2);
  const Geometry geometry =
      build_geometry(made.tensors, EngineType::kVllm, made.hints, made.infos, {}).value();
  const std::string text = geometry::canonical_text(geometry);
  EXPECT_EQ(text.substr(0, text.find("  group")),
            "lmcache geometry 1\nchunk 256\nobject bytes 15420416 chunks 1 private 0\n");
  EXPECT_NE(
      text.find("  group engine 4 at 4934656 family fused dtype float32 planes 1 layers 20 heads "
                "1 size 1024 tokens_per_row 1 rows 128 window 128 recurrent 0 tag 0 of "),
      std::string::npos);
  EXPECT_NE(text.find("family fused dtype uint8 planes 1 layers 20 heads 1 size 584 tokens_per_row "
                      "128 rows 2 window -1 recurrent 0 tag 0 page_rows 2 of "),
            std::string::npos);
}

}  // namespace
}  // namespace lmcache::test
