// Cutting jobs into pieces: nothing lost, nothing twice, nothing large.
#include "copy/pieces.hpp"
#include "copy/guarded.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace lmcache::copy {
namespace {

using Runs = std::vector<Run>;

std::vector<Piece> all_pieces(const Runs& runs) {
  std::vector<Piece> pieces;
  PieceCutter cutter(runs);
  while (auto piece = cutter.next()) pieces.push_back(*piece);
  return pieces;
}

TEST(Pieces, NoRunsGiveNone) {
  EXPECT_TRUE(all_pieces({}).empty());
}

TEST(Pieces, AFewSmallRunsAreOne) {
  std::vector<std::byte> memory(1000);
  const copy::Run run{memory.data(), memory.data(), nullptr, 10};
  const Runs runs = {run, run, run};
  const auto pieces = all_pieces(runs);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].runs.size(), 3u);
}

TEST(Pieces, ALongRunIsCutWithoutGaps) {
  std::byte* page = nullptr;  // never dereferenced
  std::vector<std::byte> anchor(1);
  page = anchor.data();
  const std::uint64_t bytes = 3 * kPieceCost + 12345;
  const auto pieces = all_pieces({copy::Run{page, page, nullptr, bytes}});
  EXPECT_GE(pieces.size(), 4u);
  std::uint64_t sum = 0;
  for (const Piece& piece : pieces) {
    EXPECT_LE(piece.bytes(), kPieceCost);
    sum += piece.bytes();
  }
  EXPECT_EQ(sum, bytes);
}

TEST(Pieces, ManySmallRunsAreSpreadOverPieces) {
  std::vector<std::byte> memory(8);
  const Runs runs_given(200000, copy::Run{memory.data(), memory.data(), nullptr, 4});
  const auto pieces = all_pieces(runs_given);
  EXPECT_GE(pieces.size(), 3u);
  std::size_t runs = 0;
  for (const Piece& piece : pieces) runs += piece.runs.size();
  EXPECT_EQ(runs, 200000u);
}

TEST(Pieces, ACutRunMovesTheSameBytesAsAWholeOne) {
  // 4-byte rows of a page whose object rows are 12 bytes apart: far more steps than one piece may
  // have.
  PagePart part;
  part.page = 3;
  part.object = 5;
  part.n0 = 200000;
  part.page0 = 4;
  part.object0 = 12;
  part.run = 4;
  std::vector<std::byte> page(4 * 200000 + 3);
  for (std::size_t i = 0; i < page.size(); ++i) page[i] = static_cast<std::byte>(i * 7 + i / 256);
  std::vector<std::byte> object(12 * 200000 + 5);
  install_bus_guard();
  const Runs shaped = {copy::Run{page.data(), object.data(), &part, 800000}};
  const auto pieces = all_pieces(shaped);
  EXPECT_GE(pieces.size(), 3u);
  std::uint64_t sum = 0;
  for (const Piece& piece : pieces) {
    sum += piece.bytes();
    ASSERT_TRUE(run_guarded(piece, Direction::kStore));
  }
  EXPECT_EQ(sum, 800000u);
  std::vector<std::byte> expected(object.size());
  for (std::size_t row = 0; row < 200000; ++row) {
    for (std::size_t i = 0; i < 4; ++i) expected[5 + row * 12 + i] = page[3 + row * 4 + i];
  }
  EXPECT_TRUE(object == expected);
}

}  // namespace
}  // namespace lmcache::copy
