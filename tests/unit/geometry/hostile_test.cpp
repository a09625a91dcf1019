// Random registrations, mostly wrong: never a crash, and whatever is accepted stays inside its
// segments. Run under sanitizers this also finds overflow. The seed is fixed; a failure names its
// round.
#include "support/kv_tensors.hpp"

#include <gtest/gtest.h>

#include <random>

namespace lmcache::test {
namespace {

class Source {
 public:
  explicit Source(std::uint32_t seed) : engine_(seed) {}
  std::int64_t below(std::int64_t limit) {
    return std::uniform_int_distribution<std::int64_t>(0, limit - 1)(engine_);
  }
  bool one_in(std::int64_t n) { return below(n) == 0; }
  std::int64_t pick(const Sizes& values) {
    return values[static_cast<std::size_t>(below(static_cast<std::int64_t>(values.size())))];
  }

 private:
  std::mt19937 engine_;
};

const Sizes kOdd = {INT64_MIN, -1, 0, 1, 3, INT32_MAX, std::int64_t{1} << 32, std::int64_t{1} << 56,
                    INT64_MAX};

TensorDesc random_tensor(Source& random) {
  static const std::vector<std::string> dtypes = {"bfloat16", "uint8", "float32", "float8_e4m3fn",
                                                  "?"};
  Sizes shape;
  const std::int64_t rank = random.one_in(10) ? random.below(12) : 3 + random.below(4);
  for (std::int64_t i = 0; i < rank; ++i) shape.push_back(random.pick({1, 2, 2, 3, 4, 8, 16, 132}));
  Sizes stride = tight_strides(shape);
  if (rank > 1 && random.one_in(3)) stride[0] += random.pick({4, 16, 132});
  if (rank > 2 && random.one_in(3)) {
    const auto i = static_cast<std::size_t>(random.below(rank - 1));
    std::swap(shape[i], shape[i + 1]);
    std::swap(stride[i], stride[i + 1]);
  }
  TensorDesc tensor =
      strided(dtypes[static_cast<std::size_t>(random.below(random.one_in(20) ? 5 : 4))], shape,
              stride, random.one_in(4) ? 64 : 0);
  if (random.one_in(8)) --tensor.segment_bytes;
  if (rank > 0 && random.one_in(8)) {
    Sizes& target = random.one_in(2) ? tensor.shape : tensor.stride;
    target[static_cast<std::size_t>(random.below(rank))] = random.pick(kOdd);
  }
  if (random.one_in(20)) tensor.storage_offset = random.pick(kOdd);
  if (random.one_in(20)) tensor.segment_bytes = static_cast<std::uint64_t>(random.pick(kOdd));
  if (random.one_in(20)) tensor.stride.push_back(1);
  return tensor;
}

Registration random_registration(Source& random) {
  static const std::vector<std::string> layouts = {"NHD", "HND", "BLHNC", "BLNHC", "diagonal"};
  Registration made;
  const std::int64_t count = random.below(6);
  for (std::int64_t i = 0; i < count; ++i) {
    const bool repeat = !made.tensors.empty() && random.one_in(2);
    made.tensors.push_back(repeat ? made.tensors.back() : random_tensor(random));
  }
  if (random.one_in(2)) {
    for (std::int64_t i = 0; i < count; ++i) {
      made.infos.push_back(
          group_info(random.one_in(20) ? random.pick(kOdd) : random.below(3),
                     {random.one_in(20) ? random.pick(kOdd) : i},
                     random.one_in(10) ? random.pick(kOdd) : random.pick({0, 4, 16, 64}),
                     random.one_in(10) ? random.pick(kOdd) : random.pick({-1, 64, 300})));
    }
  }
  if (random.one_in(2)) {
    made.hints =
        kv_layout(layouts[static_cast<std::size_t>(random.below(random.one_in(20) ? 5 : 4))]);
  }
  const auto number = [&] {
    return random.one_in(10) ? random.pick(kOdd) : random.pick({1, 2, 4, 16});
  };
  if (random.one_in(2)) made.hints.tokens_per_block = number();
  if (random.one_in(2)) made.hints.num_kv_heads = number();
  if (random.one_in(2)) made.hints.head_dim = number();
  if (random.one_in(2)) made.hints.kv_list_layout = random.one_in(2) ? "k_v" : "unified";
  return made;
}

void expect_in_bounds(const Geometry& geometry, const Registration& made) {
  for (const KernelGroup& group : geometry.kernel_groups) {
    ASSERT_EQ(group.origins.size(), std::size_t{group.planes} * group.layers);
    ASSERT_GT(group.num_blocks, 0u);
    ASSERT_LE(group.kept_ids, group.ids_per_chunk);
    std::uint64_t moved = 0;
    for (const PagePart& part : group.parts) {
      const std::uint64_t end =
          part.page + (part.n0 - 1) * part.page0 + (part.n1 - 1) * part.page1 + part.run;
      const std::uint64_t row_end =
          part.object + (part.n0 - 1) * part.object0 + (part.n1 - 1) * part.object1 + part.run;
      moved += std::uint64_t{part.n0} * part.n1 * part.run;
      ASSERT_LE(row_end, std::uint64_t{group.slots_per_block} * group.row_bytes);
      for (const PlaneOrigin& origin : group.origins) {
        ASSERT_LT(origin.tensor, made.tensors.size());
        ASSERT_LE(origin.offset + (group.num_blocks - 1) * group.block_stride_bytes + end,
                  made.tensors[origin.tensor].segment_bytes);
      }
    }
    ASSERT_EQ(moved, std::uint64_t{group.slots_per_block} * group.row_bytes);
    const ObjectGroup& object = geometry.object_groups[group.object_group];
    ASSERT_LE(group.object_offset + group.region_bytes, object.bytes);
  }
}

TEST(HostileRegistrations, NeverCrashAndStayInBounds) {
  constexpr EngineType kEngines[] = {EngineType::kVllm,   EngineType::kVllm,   EngineType::kAtom,
                                     EngineType::kSglang, EngineType::kTrtllm, EngineType::kMock};
  Source random(7);
  int accepted = 0;
  for (int round = 0; round < 60000; ++round) {
    SCOPED_TRACE(round);
    const Registration made = random_registration(random);
    const GeometryOptions options{
        static_cast<std::uint32_t>(random.pick({0, 16, 64, 256, UINT32_MAX})), random.one_in(2),
        random.one_in(2)};
    const auto geometry =
        build_geometry(made.tensors, kEngines[random.below(6)], made.hints, made.infos, options);
    if (!geometry) {
      ASSERT_EQ(geometry.error().cause, Cause::kBadGeometry);
      ASSERT_LT(geometry.error().text.size(), 20000u);
      continue;
    }
    ++accepted;
    expect_in_bounds(geometry.value(), made);
    if (::testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(accepted, 500);  // the generator must not have become useless
}

}  // namespace
}  // namespace lmcache::test
