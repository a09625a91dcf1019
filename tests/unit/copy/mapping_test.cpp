// Every format, element by element: what a plan moves against a reference that knows only the
// tensor's axes and the object's documented row order. All memory that is not to be touched holds
// random bytes and is compared as well, so a byte read from padding or written to a neighbour
// fails.
#include "copy/move.hpp"
#include "copy/plan.hpp"
#include "support/kv_tensors.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>

namespace lmcache::test {
namespace {

using copy::BlockIdLists;
using copy::Direction;
using Bytes = std::vector<std::byte>;

/// One element of the KV cache; format 14 counts bytes of a 132-byte row as `element`.
struct Place {
  std::int64_t plane, layer, block, slot, head, element;
};

/// Where the engine keeps it: tensor and byte. Written from the axes' names, not from the code
/// under test.
struct Located {
  std::size_t tensor;
  std::int64_t byte;
};

struct Group {
  std::int64_t planes, layers, blocks, slots, heads, size, item;
  std::function<Located(const Place&)> locate;
};

struct Case {
  std::string name;
  EngineType engine = EngineType::kVllm;
  Registration made;
  std::vector<Group> groups;
};

std::int64_t at(const TensorDesc& tensor, const Sizes& index) {
  std::int64_t element = tensor.storage_offset;
  for (std::size_t i = 0; i < index.size(); ++i) element += index[i] * tensor.stride[i];
  return element * dtype_bytes(tensor.dtype);
}

constexpr std::int64_t kNb = 12, kBs = 8, kNh = 3, kHs = 16;

/// A case with one tensor per layer, all of one kind; `index` gives the logical axes' positions.
Case per_layer(std::string name, const std::string& layout, const TensorDesc& tensor,
               std::array<std::int64_t, 4> planes_slots_heads_size,
               std::function<Sizes(const Place&)> index) {
  constexpr std::int64_t kLayers = 3;
  Case made;
  made.name = std::move(name);
  made.made.hints = kv_layout(layout);
  made.made.tensors.assign(kLayers, tensor);
  const auto [planes, slots, heads, size] = planes_slots_heads_size;
  made.made.infos = {group_info(0, {0, 1, 2}, slots)};
  made.groups = {{planes, kLayers, kNb, slots, heads, size, dtype_bytes(tensor.dtype),
                  [tensor, index](const Place& p) {
                    return Located{static_cast<std::size_t>(p.layer), at(tensor, index(p))};
                  }}};
  return made;
}

/// Format 14's page: 128 values of each row, then 4 bytes of scale of each row.
std::int64_t indexer_byte(const Place& p, std::int64_t slots) {
  return p.element < 128 ? p.slot * 128 + p.element : slots * 128 + p.slot * 4 + p.element - 128;
}

std::vector<Case> vllm_cases() {
  const auto kv_nhd = [](const Place& p) {
    return Sizes{p.plane, p.block, p.slot, p.head, p.element};
  };
  const auto kv_hnd = [](const Place& p) {
    return Sizes{p.plane, p.block, p.head, p.slot, p.element};
  };
  const auto nb_nhd = [](const Place& p) {
    return Sizes{p.block, p.plane, p.slot, p.head, p.element};
  };
  const auto nb_hnd = [](const Place& p) {
    return Sizes{p.block, p.plane, p.head, p.slot, p.element};
  };
  const auto hnd = [](const Place& p) { return Sizes{p.block, p.head, p.slot, p.element}; };
  const auto nhd = [](const Place& p) { return Sizes{p.block, p.slot, p.head, p.element}; };
  const auto row = [](const Place& p) { return Sizes{p.block, p.slot, p.element}; };
  const std::array<std::int64_t, 4> split = {2, kBs, kNh, kHs};
  const std::array<std::int64_t, 4> fused = {1, kBs, kNh, kHs};
  const std::int64_t padded = kNh * kBs * kHs + 24;
  return {
      per_layer("1", "NHD", dense("bfloat16", {2, kNb, kBs, kNh, kHs}), split, kv_nhd),
      per_layer("6", "HND", dense("bfloat16", {2, kNb, kNh, kBs, kHs}), split, kv_hnd),
      per_layer("6 shown as NHD", "HND",
                strided("bfloat16", {2, kNb, kBs, kNh, kHs},
                        {kNb * kNh * kBs * kHs, kNh * kBs * kHs, kHs, kBs * kHs, 1}),
                split, kv_nhd),
      per_layer("2", "NHD", dense("float32", {kNb, 2, kBs, kNh, kHs}), split, nb_nhd),
      per_layer("7", "HND", dense("uint8", {kNb, 2, kNh, kBs, kHs}), split, nb_hnd),
      per_layer("12", "HND", dense("bfloat16", {kNb, kNh, kBs, kHs}), fused, hnd),
      per_layer("12 padded", "BLHNC",
                strided("bfloat16", {kNb, kNh, kBs, kHs}, {padded, kBs * kHs, kHs, 1}, 40), fused,
                hnd),
      per_layer("13", "NHD", dense("bfloat16", {kNb, kBs, kNh, kHs}), fused, nhd),
      per_layer("13 padded", "BLNHC",
                strided("bfloat16", {kNb, kNh, kBs, kHs}, {padded, kHs, kNh * kHs, 1}, 40), fused,
                hnd),
      per_layer("3", "NHD", dense("bfloat16", {kNb, kBs, 40}), {1, kBs, 1, 40}, row),
      per_layer("3 padded", "NHD", strided("uint8", {kNb, kBs, 73}, {600, 73, 1}, 5),
                {1, kBs, 1, 73}, row),
      per_layer("one head of 12", "HND", dense("uint8", {kNb, 1, kBs, 584}), {1, kBs, 1, 584}, hnd),
  };
}

Case indexer_case(const std::string& name, const std::string& layout, const TensorDesc& tensor,
                  std::int64_t slots) {
  Case made = per_layer(name, layout, tensor, {1, slots, 1, 132}, nullptr);
  made.groups[0].locate = [tensor, slots](const Place& p) {
    return Located{static_cast<std::size_t>(p.layer),
                   tensor.storage_offset + p.block * tensor.stride[0] + indexer_byte(p, slots)};
  };
  return made;
}

std::vector<Case> other_cases() {
  std::vector<Case> cases;
  cases.push_back(indexer_case("14", "NHD", dense("uint8", {kNb, kBs, 132}), kBs));
  cases.push_back(indexer_case("14 one row", "NHD", dense("uint8", {kNb, 1, 132}), 1));
  cases.push_back(indexer_case("14 padded, with head axis", "BLHNC",
                               strided("uint8", {kNb, 1, kBs, 132}, {1300, kBs * 132, 132, 1}, 64),
                               kBs));
  for (const bool head_major : {false, true}) {
    Case cross;
    cross.name = head_major ? "8" : "0";
    cross.engine = EngineType::kVllm;
    cross.made.tensors = {head_major ? dense("bfloat16", {kNb, 4, 2, kNh, kBs, kHs})
                                     : dense("bfloat16", {kNb, 4, 2, kBs, kNh, kHs})};
    if (head_major) cross.made.hints = kv_layout("HND");
    const TensorDesc tensor = cross.made.tensors[0];
    cross.groups = {{2, 4, kNb, kBs, kNh, kHs, 2, [tensor, head_major](const Place& p) {
                       return Located{
                           0, at(tensor, {p.block, p.layer, p.plane, head_major ? p.head : p.slot,
                                          head_major ? p.slot : p.head, p.element})};
                     }}};
    cases.push_back(cross);
  }
  Case trtllm = cases.back();
  trtllm.name = "8 as TRT-LLM sends it";
  trtllm.engine = EngineType::kTrtllm;
  trtllm.made.tensors = {dense("bfloat16", {kNb, 4, 2, kNh * kBs * kHs})};
  trtllm.made.hints = {};
  trtllm.made.hints.num_kv_heads = kNh;
  trtllm.made.hints.tokens_per_block = kBs;
  trtllm.made.hints.head_dim = kHs;
  cases.push_back(trtllm);

  for (const bool hint : {false, true}) {
    Case pairs;
    pairs.name = hint ? "9" : "4";
    pairs.engine = EngineType::kSglang;
    pairs.made.tensors.assign(6, dense("bfloat16", {kNb * kBs, kNh, kHs}));
    pairs.made.hints.kv_list_layout = "k_v";
    if (hint) pairs.made.hints.tokens_per_block = kBs;
    if (!hint) pairs.made.infos = {group_info(0, {0, 1, 2}, kBs)};
    const TensorDesc tensor = pairs.made.tensors[0];
    pairs.groups = {{2, 3, kNb, kBs, kNh, kHs, 2, [tensor](const Place& p) {
                       return Located{static_cast<std::size_t>(p.plane * 3 + p.layer),
                                      at(tensor, {p.block * kBs + p.slot, p.head, p.element})};
                     }}};
    cases.push_back(pairs);
  }
  Case mla;
  mla.name = "5";
  mla.engine = EngineType::kSglang;
  mla.made.tensors.assign(2, dense("bfloat16", {kNb * kBs, 1, 40}));
  mla.made.infos = {group_info(0, {0, 1}, kBs)};
  const TensorDesc tokens = mla.made.tensors[0];
  mla.groups = {{1, 2, kNb, kBs, 1, 40, 2, [tokens](const Place& p) {
                   return Located{static_cast<std::size_t>(p.layer),
                                  at(tokens, {p.block * kBs + p.slot, 0, p.element})};
                 }}};
  cases.push_back(mla);
  Case unified = per_layer("18", "NHD", dense("bfloat16", {kNb, kBs, kNh, kHs}), {1, kBs, kNh, kHs},
                           [](const Place& p) {
                             return Sizes{p.block, p.slot, p.head, p.element};
                           });
  unified.engine = EngineType::kSglang;
  unified.made.hints = {};
  unified.made.hints.kv_list_layout = "unified";
  cases.push_back(unified);
  return cases;
}

struct World {
  Geometry geometry;
  std::vector<Bytes> segments;
  std::vector<std::byte*> bases;
  BlockIdLists ids;
};

struct Settings {
  std::uint32_t chunks = 2;
  std::int64_t null_id = 0;
  std::uint64_t skip = 0;
};

Bytes random_bytes(std::size_t count, std::mt19937& random) {
  Bytes bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() & 0xff);
  return bytes;
}

World make_world(const Case& c, std::mt19937& random, const Settings& settings) {
  World world;
  GeometryOptions options;
  options.chunk_tokens = 32;
  world.geometry =
      build_geometry(c.made.tensors, c.engine, c.made.hints, c.made.infos, options).value();
  for (const TensorDesc& tensor : c.made.tensors) {
    world.segments.push_back(random_bytes(tensor.segment_bytes, random));
  }
  for (Bytes& segment : world.segments) world.bases.push_back(segment.data());
  for (const KernelGroup& group : world.geometry.kernel_groups) {
    std::vector<std::int64_t> ids(group.num_blocks);
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int64_t>(i);
    if (random() % 2 == 0) std::shuffle(ids.begin(), ids.end(), random);
    ids.resize(std::size_t{settings.chunks} * group.ids_per_chunk);
    world.ids.push_back(ids);
  }
  return world;
}

/// Applies one object's copy by the documented rules, one byte at a time.
void naive(const Case& c, const World& world, std::uint32_t object_group, std::uint32_t chunk,
           const Settings& settings, Direction direction, std::vector<Bytes>& segments,
           Bytes& object) {
  std::int64_t region = 0;
  for (const std::uint32_t g : world.geometry.object_groups[object_group].kernel_groups) {
    const Group& group = c.groups[g];
    const KernelGroup& sizes = world.geometry.kernel_groups[g];
    const std::int64_t rows = std::int64_t{sizes.kept_ids} * group.slots;
    const std::int64_t row = group.heads * group.size * group.item;
    for (std::int64_t kept = 0; kept < sizes.kept_ids; ++kept) {
      const std::int64_t position =
          std::int64_t{chunk + 1} * sizes.ids_per_chunk - sizes.kept_ids + kept;
      const std::int64_t block = world.ids[g][static_cast<std::size_t>(position)];
      if (block == settings.null_id) continue;
      if (static_cast<std::uint64_t>((position + 1) * sizes.tokens_per_block) <= settings.skip)
        continue;
      for (std::int64_t plane = 0; plane < group.planes; ++plane)
        for (std::int64_t layer = 0; layer < group.layers; ++layer)
          for (std::int64_t slot = 0; slot < group.slots; ++slot)
            for (std::int64_t head = 0; head < group.heads; ++head)
              for (std::int64_t e = 0; e < group.size; ++e) {
                const Located from = group.locate({plane, layer, block, slot, head, e});
                const std::int64_t to =
                    region +
                    ((plane * group.layers + layer) * rows + kept * group.slots + slot) * row +
                    (head * group.size + e) * group.item;
                for (std::int64_t byte = 0; byte < group.item; ++byte) {
                  std::byte& page =
                      segments[from.tensor][static_cast<std::size_t>(from.byte + byte)];
                  std::byte& stored = object[static_cast<std::size_t>(to + byte)];
                  if (direction == Direction::kStore)
                    stored = page;
                  else
                    page = stored;
                }
              }
    }
    region += group.planes * group.layers * rows * row;
  }
  ASSERT_EQ(static_cast<std::uint64_t>(region), world.geometry.object_groups[object_group].bytes);
}

void check(const Case& c, const Settings& settings, std::mt19937& random,
           const std::function<void(World&)>& change = nullptr) {
  SCOPED_TRACE("format " + c.name + ", skip " + std::to_string(settings.skip));
  World world = make_world(c, random, settings);
  if (change) change(world);
  ASSERT_TRUE(copy::check_block_ids(world.geometry, world.ids, settings.chunks, settings.null_id));
  for (std::uint32_t g = 0; g < world.geometry.object_groups.size(); ++g) {
    for (std::uint32_t chunk = 0; chunk < settings.chunks; ++chunk) {
      for (const Direction direction : {Direction::kStore, Direction::kRetrieve}) {
        constexpr std::size_t kGuard = 64;
        Bytes object = random_bytes(world.geometry.object_groups[g].bytes + kGuard, random);
        std::vector<Bytes> expected_segments = world.segments;
        Bytes expected_object = object;
        naive(c, world, g, chunk, settings, direction, expected_segments, expected_object);
        std::vector<copy::Run> runs;
        copy::plan_object(world.geometry, g, world.ids, chunk, object.data(), world.bases,
                          settings.null_id, settings.skip, runs);
        for (const copy::Run& run : runs) copy::move_run(run, direction);
        copy::finish_moves();
        ASSERT_TRUE(object == expected_object);
        ASSERT_TRUE(world.segments == expected_segments);
      }
    }
  }
}

TEST(Mapping, EveryFormatIsByteExact) {
  std::mt19937 random(1);
  std::vector<Case> cases = vllm_cases();
  for (Case& c : other_cases()) cases.push_back(std::move(c));
  for (const Case& c : cases) {
    for (int round = 0; round < 3; ++round) {
      const std::uint32_t per_chunk = 32u / static_cast<std::uint32_t>(c.groups[0].slots);
      Settings settings;
      settings.chunks = std::min<std::uint32_t>(2, static_cast<std::uint32_t>(kNb) / per_chunk);
      if (settings.chunks == 0) settings.chunks = 1;
      settings.skip = static_cast<std::uint64_t>(round) * 13;
      Case fitted = c;
      if (per_chunk > static_cast<std::uint32_t>(kNb)) fitted.made.infos[0].tokens_per_block = 8;
      check(fitted, settings, random);
      if (HasFatalFailure()) return;
    }
  }
}

/// Two engine groups over one pool, as hybrid models have them: full attention and a window of half
/// a chunk, with pages in one padded block, and an indexer beside the full group.
Case hybrid_case() {
  const std::int64_t block = 4096;
  const auto view = [&](std::int64_t rows, std::int64_t width, std::int64_t offset) {
    TensorDesc tensor =
        strided("uint8", {kNb, 1, rows, width}, {block, rows * width, width, 1}, offset);
    tensor.segment_bytes = static_cast<std::uint64_t>(kNb * block);
    return tensor;
  };
  Case c;
  c.name = "hybrid";
  c.made.hints = kv_layout("BLHNC");
  c.made.tensors = {view(16, 40, 0), view(16, 132, 704), view(4, 73, 16), view(4, 73, 400)};
  c.made.infos = {group_info(0, {0}, 16), group_info(0, {1}, 16), group_info(1, {2, 3}, 4, 12)};
  const auto rows_of = [made = c.made](std::size_t first) {
    return [made, first](const Place& p) {
      const std::size_t tensor = first + static_cast<std::size_t>(p.layer);
      return Located{tensor, at(made.tensors[tensor], {p.block, 0, p.slot, p.element})};
    };
  };
  const TensorDesc indexer = c.made.tensors[1];
  c.groups = {{1, 1, kNb, 16, 1, 40, 1, rows_of(0)},
              {1, 1, kNb, 16, 1, 132, 1,
               [indexer](const Place& p) {
                 return Located{
                     1, indexer.storage_offset + p.block * indexer.stride[0] + indexer_byte(p, 16)};
               }},
              {1, 2, kNb, 4, 1, 73, 1, rows_of(2)}};
  return c;
}

TEST(Mapping, WindowsAndSkipsAtEveryToken) {
  std::mt19937 random(2);
  const Case c = hybrid_case();
  for (std::uint64_t skip = 0; skip <= 65; ++skip) {
    check(c, {1, 0, skip}, random);
    if (HasFatalFailure()) return;
  }
}

TEST(Mapping, NullBlocksAreNeitherReadNorWritten) {
  std::mt19937 random(3);
  const Case c = hybrid_case();
  for (int round = 0; round < 40; ++round) {
    const std::int64_t null_id = round % 2 == 0 ? 0 : -1;
    check(c, {1, null_id, 0}, random, [&](World& world) {
      for (auto& list : world.ids) {
        for (std::int64_t& id : list) {
          if (random() % 3 == 0) id = null_id;
        }
      }
    });
    if (HasFatalFailure()) return;
  }
}

TEST(Mapping, RunsThatContinueOnBothSidesAreMerged) {
  const std::vector<TensorDesc> tensors(2, dense("bfloat16", {kNb, kBs, kNh, kHs}));
  GeometryOptions options;
  options.chunk_tokens = 32;
  const Geometry geometry =
      build_geometry(tensors, EngineType::kVllm, kv_layout("NHD"), {}, options).value();
  Bytes page(tensors[0].segment_bytes);
  Bytes object(geometry.object_groups[0].bytes);
  const std::vector<std::byte*> bases = {page.data(), page.data()};
  const auto runs_of = [&](std::vector<std::int64_t> ids) {
    std::vector<copy::Run> runs;
    copy::plan_object(geometry, 0, {std::move(ids)}, 0, object.data(), bases, 0, 0, runs);
    return runs.size();
  };
  EXPECT_EQ(runs_of({4, 5, 6, 7}), 2u);  // one per layer
  EXPECT_EQ(runs_of({4, 5, 7, 8}), 4u);
  EXPECT_EQ(runs_of({7, 6, 5, 4}), 8u);
  EXPECT_EQ(runs_of({4, 0, 5, 6}), 4u);
  EXPECT_EQ(runs_of({0, 0, 0, 0}), 0u);
}

TEST(Mapping, LongRunsOfEveryAlignment) {
  // The streaming loops: heads, tails and lengths around their steps.
  std::mt19937 random(4);
  const Bytes from = random_bytes(20000, random);
  for (std::size_t round = 0; round < 300; ++round) {
    const std::size_t bytes = 1 + random() % 9000;
    const std::size_t skew = random() % 130;
    const std::size_t source = random() % 130;
    Bytes to = random_bytes(10000, random);
    Bytes expected = to;
    Bytes pages = from;
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(source), bytes,
                expected.begin() + static_cast<std::ptrdiff_t>(skew));
    copy::move_run({pages.data() + source, to.data() + skew, nullptr, bytes}, Direction::kStore);
    copy::finish_moves();
    ASSERT_TRUE(to == expected) << bytes << " bytes to +" << skew;
    Bytes back = random_bytes(20000, random);
    expected = back;
    std::copy_n(to.begin() + static_cast<std::ptrdiff_t>(skew), bytes,
                expected.begin() + static_cast<std::ptrdiff_t>(source));
    copy::move_run({back.data() + source, to.data() + skew, nullptr, bytes}, Direction::kRetrieve);
    copy::finish_moves();
    ASSERT_TRUE(back == expected) << bytes << " bytes from +" << skew;
  }
}

}  // namespace
}  // namespace lmcache::test
