#include "sim/plot.hpp"

#include <gmock/gmock.h>

namespace lmcache::sim {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Plot, HasALineAndANamePerCurveWithinThePicture) {
  const std::string svg =
      draw_curves("a <title> & more",
                  {{"LRU", false, {{1, 0.0}, {2, 0.5}, {4, 1.0}}}, {"bound", true, {{1, 1}}}});
  EXPECT_THAT(svg, HasSubstr("a &lt;title&gt; &amp; more"));
  EXPECT_THAT(svg, HasSubstr("points=\"60.0,440.0 380.0,240.0 700.0,40.0 \""));
  EXPECT_THAT(svg, HasSubstr(">LRU</text>"));
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray"));
  EXPECT_THAT(svg, HasSubstr("</svg>"));
}

TEST(Plot, OfNothingOrOneSizeIsStillAPicture) {
  EXPECT_THAT(draw_curves("t", {}), HasSubstr("</svg>"));
  EXPECT_THAT(draw_curves("t", {{"LRU", false, {{3, 0.5}}}}), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace lmcache::sim
