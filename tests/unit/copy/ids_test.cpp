// Block ids: what is refused, and which chunks may be stored.
#include "copy/plan.hpp"
#include "support/kv_tensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lmcache::test {
namespace {

using copy::BlockIdLists;
using ::testing::HasSubstr;

/// Chunk 256: group 0 takes 16 ids a chunk and keeps them all, group 1 takes 16 and keeps 8.
Geometry hybrid() {
  const std::vector<TensorDesc> tensors(2, dense("bfloat16", {40, 16, 8, 8}));
  return build_geometry(tensors, EngineType::kVllm, kv_layout("NHD"),
                        std::vector<GroupInfo>{group_info(0, {0}, 16), group_info(1, {1}, 16, 128)},
                        {})
      .value();
}

BlockIdLists lists(std::size_t count, std::int64_t id = 5) {
  return BlockIdLists(2, std::vector<std::int64_t>(count, id));
}

std::string refusal(const BlockIdLists& ids, std::uint32_t chunks, std::int64_t null_id = 0) {
  const Status status = copy::check_block_ids(hybrid(), ids, chunks, null_id);
  if (status) return "accepted";
  EXPECT_EQ(status.error().cause, Cause::kBadBlockIds);
  return status.error().text;
}

TEST(BlockIds, WholeChunksAreAccepted) {
  EXPECT_EQ(refusal(lists(32), 2), "accepted");
  EXPECT_EQ(refusal(lists(48), 2), "accepted");  // more whole chunks than asked for
  EXPECT_EQ(refusal(lists(0), 0), "accepted");
}

TEST(BlockIds, WrongListsAreNamed) {
  EXPECT_THAT(refusal({{}}, 0), HasSubstr("1 block id lists for 2 groups"));
  EXPECT_THAT(refusal(lists(16), 2), HasSubstr("16 ids, needed are 32"));
  EXPECT_THAT(refusal(lists(33), 2), HasSubstr("whole chunks of 16"));
  EXPECT_NE(refusal(lists(16), UINT32_MAX), "accepted");
}

TEST(BlockIds, EveryIdIsChecked) {
  // Also ids before the window (group 1 keeps positions 8-15) and in chunks beyond those asked for.
  for (const std::size_t position : {0u, 7u, 15u, 16u, 31u}) {
    for (const std::int64_t id : {std::int64_t{40}, std::int64_t{-1}, INT64_MAX, INT64_MIN}) {
      BlockIdLists ids = lists(32);
      ids[1][position] = id;
      EXPECT_THAT(refusal(ids, 1), HasSubstr("group 1: id " + std::to_string(id) + " at position " +
                                             std::to_string(position) + " is outside 0..39"));
    }
  }
}

TEST(BlockIds, TheNullIdMayLieOutsideThePool) {
  EXPECT_EQ(refusal(lists(16, -1), 1, -1), "accepted");
  EXPECT_EQ(refusal(lists(16, 99), 1, 99), "accepted");
  EXPECT_NE(refusal(lists(16, -1), 1, 99), "accepted");
}

TEST(StorableChunks, OnlyKeptIdsCount) {
  const Geometry geometry = hybrid();
  const auto storable = [&](std::size_t list, std::size_t position, std::uint32_t group) {
    BlockIdLists ids = lists(32);
    ids[list][position] = 0;
    return copy::storable_chunks(geometry, group, ids, 2, 0);
  };
  using Chunks = std::vector<bool>;
  EXPECT_EQ(storable(0, 0, 0), (Chunks{false, true}));  // any id of full attention
  EXPECT_EQ(storable(0, 31, 0), (Chunks{true, false}));
  EXPECT_EQ(storable(0, 0, 1), (Chunks{true, true}));  // another group's id
  EXPECT_EQ(storable(1, 7, 1), (Chunks{true, true}));  // before the window
  EXPECT_EQ(storable(1, 8, 1), (Chunks{false, true}));
  EXPECT_EQ(storable(1, 23, 1), (Chunks{true, true}));
  EXPECT_EQ(storable(1, 31, 1), (Chunks{true, false}));
}

TEST(StorableChunks, OneNullKernelGroupSpoilsTheWholeObject) {
  const Registration made = deepseek_v4(40);
  const Geometry geometry =
      build_geometry(made.tensors, EngineType::kVllm, made.hints, made.infos, {}).value();
  BlockIdLists ids;
  for (const KernelGroup& group : geometry.kernel_groups) ids.emplace_back(group.ids_per_chunk, 1);
  ids[3].assign(64, 0);
  ids[3][62] = ids[3][63] = 1;  // all that the 8-token state keeps
  EXPECT_EQ(copy::storable_chunks(geometry, 0, ids, 1, 0), std::vector<bool>{true});
  ids[3][62] = 0;
  EXPECT_EQ(copy::storable_chunks(geometry, 0, ids, 1, 0), std::vector<bool>{false});
  EXPECT_EQ(copy::storable_chunks(geometry, 1, ids, 1, 0), std::vector<bool>{true});
}

}  // namespace
}  // namespace lmcache::test
