#include "admin/layout_report.hpp"

#include <gtest/gtest.h>

namespace lmcache::admin {
namespace {

KernelGroup group(KvFormat format) {
  KernelGroup out;
  out.format = format;
  out.dtype = "bfloat16";
  out.planes = 2;
  out.layers = 80;
  out.heads = 8;
  out.head_size = 128;
  out.num_blocks = 2048;
  out.tokens_per_block = out.slots_per_block = 16;
  out.row_bytes = 8 * 128 * 2;
  return out;
}

TEST(ConcreteShape, PutsNumbersForAxes) {
  EXPECT_EQ(concrete_shape(group(KvFormat::kNlXTwoNbBsNhHs)), "80 x [2, 2048, 16, 8, 128]");
  EXPECT_EQ(concrete_shape(group(KvFormat::kNbNlTwoNhBsHs)), "[2048, 80, 2, 8, 16, 128]");
  EXPECT_EQ(concrete_shape(group(KvFormat::kTwoXNlXNbbsNhHs)), "2 x 80 x [32768, 8, 128]");
  EXPECT_EQ(concrete_shape(group(KvFormat::kNlXNbBsNhCs)), "80 x [2048, 16, 8, 128]");
  KernelGroup indexer = group(KvFormat::kNlXNbBsvBss);
  indexer.head_size = 132;
  EXPECT_EQ(concrete_shape(indexer), "80 x [2048, 16x128, 16x4]");
}

TEST(LayoutReport, SumsLayersAndBytesPerToken) {
  Geometry geometry;
  geometry.kernel_groups = {group(KvFormat::kNlXTwoNbBsNhHs), group(KvFormat::kNlXNbBsHs)};
  KernelGroup& compressed = geometry.kernel_groups[1];
  compressed.planes = 1;
  compressed.layers = 3;
  compressed.row_bytes = 1000;
  compressed.tokens_per_block = 64;  // four tokens a slot
  const Json report = layout_report(geometry);
  EXPECT_EQ(report["num_layers"], 83);
  EXPECT_EQ(report["num_blocks"], 2048);
  EXPECT_EQ(report["cache_size_per_token"], 2 * 80 * 2048 + 3 * 1000 / 4);
  EXPECT_EQ(report["kernel_groups"][0]["dtype"], "torch.bfloat16");
  EXPECT_EQ(report["kernel_groups"][1]["is_mla"], true);
}

TEST(FormatText, EveryFormatHasAText) {
  for (const int number : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 18}) {
    const auto format = static_cast<KvFormat>(number);
    EXPECT_EQ(text_of(format).format, format);
  }
}

}  // namespace
}  // namespace lmcache::admin
