// The published client's own grouping, recorded by tests/support/geometry_vectors.py, against ours.
#include "support/kv_tensors.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace lmcache::test {
namespace {

using nlohmann::json;

json load_vectors() {
  std::ifstream file(LMCACHE_TEST_DATA "/geometry/vectors.json");
  return json::parse(file);
}

EngineType engine_of(const std::string& name) {
  if (name == "sglang") return EngineType::kSglang;
  if (name == "trtllm") return EngineType::kTrtllm;
  if (name == "atom") return EngineType::kAtom;
  if (name == "mock") return EngineType::kMock;
  return EngineType::kVllm;
}

Registration registration_of(const json& entry) {
  Registration made;
  for (const json& tensor : entry["tensors"]) {
    made.tensors.push_back(
        strided(tensor["dtype"], tensor["shape"], tensor["stride"], tensor["offset"]));
  }
  for (const json& info : entry["infos"]) {
    made.infos.push_back({info["engine_group_id"], info["layer_indices"], info["tokens_per_block"],
                          info["sw_size_tokens"], info["extra_object_group_tag"],
                          info["recurrent_state"]});
  }
  const json& hints = entry["hints"];
  if (hints.contains("kv_layout")) made.hints.kv_layout = hints["kv_layout"];
  if (hints.contains("kv_list_layout")) made.hints.kv_list_layout = hints["kv_list_layout"];
  if (hints.contains("num_kv_heads")) made.hints.num_kv_heads = hints["num_kv_heads"];
  if (hints.contains("tokens_per_block")) made.hints.tokens_per_block = hints["tokens_per_block"];
  if (hints.contains("head_dim")) made.hints.head_dim = hints["head_dim"];
  return made;
}

Result<Geometry> build(const json& entry, bool separate) {
  const Registration made = registration_of(entry);
  return build_geometry(made.tensors, engine_of(entry["engine"]), made.hints, made.infos,
                        {entry["chunk"], separate, true});
}

void expect_groups(const Geometry& geometry, const json& expected) {
  ASSERT_EQ(geometry.kernel_groups.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE("group " + std::to_string(i));
    const KernelGroup& own = geometry.kernel_groups[i];
    const json& theirs = expected[i];
    EXPECT_EQ(own.layer_indices, theirs["layers"].get<std::vector<std::uint32_t>>());
    EXPECT_EQ(static_cast<int>(own.format), theirs["format"].get<int>());
    EXPECT_EQ(own.planes, theirs["planes"].get<std::uint32_t>());
    EXPECT_EQ(own.heads, theirs["heads"].get<std::uint32_t>());
    EXPECT_EQ(own.head_size, theirs["size"].get<std::uint32_t>());
    EXPECT_EQ(own.slots_per_block, theirs["slots"].get<std::uint32_t>());
    EXPECT_EQ(own.num_blocks, theirs["blocks"].get<std::uint64_t>());
    EXPECT_EQ(own.dtype, theirs["dtype"].get<std::string>());
    EXPECT_EQ(own.kept_ids * own.slots_per_block, theirs["rows_per_chunk"].get<std::uint32_t>());
    // The package gives a block stride only where blocks may be padded.
    const auto stride = theirs["stride"].get<std::uint64_t>();
    if (stride > 0) {
      EXPECT_EQ(own.block_stride_bytes, stride * own.item_bytes);
    }
  }
}

void expect_objects(const Geometry& geometry, const json& expected) {
  ASSERT_EQ(geometry.object_groups.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    SCOPED_TRACE("object " + std::to_string(i));
    const ObjectGroup& own = geometry.object_groups[i];
    EXPECT_EQ(own.kernel_groups, expected[i]["groups"].get<std::vector<std::uint32_t>>());
    EXPECT_EQ(own.window_chunks, expected[i]["window"].get<std::int32_t>());
    EXPECT_EQ(own.auxiliary, expected[i]["aux"].get<bool>());
  }
}

TEST(GeometryVectors, AgreeWithThePublishedClient) {
  const json vectors = load_vectors();
  ASSERT_GT(vectors.size(), 100u);
  for (const json& entry : vectors) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    for (const bool separate : {true, false}) {
      const Result<Geometry> geometry = build(entry, separate);
      if (entry.contains("error")) {
        ASSERT_FALSE(geometry);
        EXPECT_EQ(geometry.error().cause, Cause::kBadGeometry);
        continue;
      }
      ASSERT_TRUE(geometry) << geometry.error().text;
      const json& expected = entry["expect"];
      expect_groups(geometry.value(), expected["groups"]);
      expect_objects(geometry.value(), expected[separate ? "objects_separate" : "objects_single"]);
    }
  }
}

}  // namespace
}  // namespace lmcache::test
