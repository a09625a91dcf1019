#include "obs/clean_text.hpp"

#include <gtest/gtest.h>

namespace lmcache::obs {
namespace {

TEST(CleanText, PrintableAsciiStays) {
  EXPECT_EQ(clean_text("a ~!/x"), "a ~!/x");
}

TEST(CleanText, ControlAndNonAsciiBytesBecomeQuestionMarks) {
  EXPECT_EQ(clean_text("a\nb\r\tc\x1b[31m"), "a?b??c?[31m");
  EXPECT_EQ(clean_text(std::string_view("\0\x7f\xc2\x9b\xff", 5)), "?????");
}

TEST(CleanText, CutsAtTheLimitAndSaysSo) {
  EXPECT_EQ(clean_text("12345678", 8), "12345678");
  EXPECT_EQ(clean_text("123456789", 8), "12345...");
  EXPECT_EQ(clean_text(std::string(10'000, 'x')).size(), kMaxLogTextBytes);
}

}  // namespace
}  // namespace lmcache::obs
