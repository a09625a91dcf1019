// Recovery of memory order from strides.
#include "geometry/view.hpp"
#include "support/kv_tensors.hpp"

#include <gtest/gtest.h>

namespace lmcache::test {
namespace {

using geometry::recover_view;
using Shape = std::vector<std::uint64_t>;

TEST(View, AxesAreSortedByStride) {
  const auto view =
      recover_view(0, strided("bfloat16", {2, 9, 16, 8, 64}, {73728, 8192, 64, 1024, 1}));
  EXPECT_EQ(view.value().shape, (Shape{2, 9, 8, 16, 64}));
  EXPECT_FALSE(view.value().padded());
}

TEST(View, AnAxisOfOneIsPutInnermostOfEqualStrides) {
  EXPECT_EQ(recover_view(0, strided("uint8", {9, 1, 64, 132}, {8448, 132, 132, 1})).value().shape,
            (Shape{9, 64, 1, 132}));
  EXPECT_EQ(recover_view(0, strided("uint8", {9, 1, 64, 132}, {8448, 8448, 132, 1})).value().shape,
            (Shape{9, 1, 64, 132}));
}

TEST(View, ThatHoldsForPaddedBlocksToo) {
  const auto view = recover_view(0, strided("uint8", {9, 1, 64, 132}, {9000, 132, 132, 1}));
  EXPECT_EQ(view.value().shape, (Shape{9, 64, 1, 132}));
  EXPECT_TRUE(view.value().padded());
}

TEST(View, PaddingBetweenBlocksIsKept) {
  const auto view = recover_view(0, strided("float32", {3, 1, 4, 512}, {250560, 2048, 512, 1}, 7));
  EXPECT_EQ(view.value().shape, (Shape{3, 1, 4, 512}));
  EXPECT_EQ(view.value().stride0, 250560u);
  EXPECT_EQ(view.value().inner, 2048u);
  EXPECT_EQ(view.value().offset_bytes, 28u);
  EXPECT_TRUE(view.value().padded());
}

TEST(View, APaddedPoolOfOneBlockIsAccepted) {
  const auto view = recover_view(0, strided("uint8", {1, 1, 64, 584}, {1002240, 37376, 584, 1}));
  EXPECT_EQ(view.value().shape, (Shape{1, 1, 64, 584}));
  EXPECT_FALSE(view.value().padded());
}

TEST(View, PaddingAnywhereElseIsRefused) {
  EXPECT_FALSE(recover_view(0, strided("uint8", {4, 8, 16}, {160, 20, 1})));
  EXPECT_FALSE(recover_view(0, strided("uint8", {4, 8, 16}, {256, 32, 2})));
  EXPECT_FALSE(recover_view(0, strided("uint8", {4, 8, 16}, {64, 16, 1})));
  EXPECT_FALSE(recover_view(0, strided("uint8", {4}, {2})));
}

}  // namespace
}  // namespace lmcache::test
