// Batches executed by the host as the kernel and the DMA would, against the CPU's planner: every
// format, any batch size, nothing outside the payload touched.
#include "gpu/batcher.hpp"
#include "support/kv_world.hpp"

#include <gtest/gtest.h>

namespace lmcache::test {
namespace {

using copy::Direction;
using kernels::PageBatch;
using kernels::PageSection;

constexpr std::uint64_t kAlign = 512;

/// One page between the engine's memory and the buffer; what copy_pages does.
void move_page(const KernelGroup& group, std::byte* page, std::byte* buffer, Direction direction) {
  for (const PagePart& part : group.parts)
    for (std::uint32_t i = 0; i < part.n0; ++i)
      for (std::uint32_t j = 0; j < part.n1; ++j) {
        std::byte* in_page = page + part.page + i * part.page0 + j * part.page1;
        std::byte* in_buffer = buffer + part.object + i * part.object0 + j * part.object1;
        if (direction == Direction::kStore) {
          std::memcpy(in_buffer, in_page, part.run);
        } else {
          std::memcpy(in_page, in_buffer, part.run);
        }
      }
}

std::uint64_t page_bytes(const KernelGroup& group) {
  return group.region_bytes / (group.origins.size() * group.kept_ids);
}

void run_pages(const World& world, const PageBatch& batch, std::span<std::byte> buffer,
               Direction direction) {
  for (std::uint32_t s = 0; s < batch.sections; ++s) {
    const PageSection& section = batch.section[s];
    const KernelGroup& group = world.geometry->kernel_groups[section.group];
    for (std::uint32_t o = 0; o < section.origins; ++o)
      for (std::uint32_t i = 0; i < section.ids; ++i) {
        const std::uint64_t at =
            section.buffer + (std::uint64_t{o} * section.ids + i) * page_bytes(group);
        ASSERT_LE(at + page_bytes(group), buffer.size());
        const std::uint32_t id = batch.ids[section.first_id + i];
        if (id == kernels::kNoBlock) continue;
        const PlaneOrigin& origin = group.origins[section.first_origin + o];
        move_page(group, world.bases[origin.tensor] + origin.offset + id * group.block_stride_bytes,
                  buffer.data() + at, direction);
      }
  }
}

void run_spans(const gpu::Batch& batch, std::span<std::byte> buffer, Direction direction) {
  for (const gpu::HostSpan& span : batch.spans) {
    ASSERT_LE(span.buffer + span.bytes, buffer.size());
    if (direction == Direction::kStore) {
      std::memcpy(span.host, buffer.data() + span.buffer, span.bytes);
    } else {
      std::memcpy(buffer.data() + span.buffer, span.host, span.bytes);
    }
  }
}

/// Returns the number of batches.
int execute(const World& world, std::span<const ObjectRef> objects, Direction direction,
            std::uint64_t limit, std::int64_t null_id, std::uint64_t skip) {
  gpu::Batcher batcher({world.geometry.get(), &world.ids, objects, 0, null_id, skip, kAlign});
  gpu::Batch batch;
  int batches = 0;
  while (batcher.next(limit, batch)) {
    EXPECT_LE(batch.buffer_bytes, limit);
    EXPECT_GT(batch.pages.sections, 0u);
    Bytes buffer(limit);
    fill_random(buffer, 99);  // what an earlier batch left there
    if (direction == Direction::kStore) {
      run_pages(world, batch.pages, buffer, direction);
      run_spans(batch, buffer, direction);
    } else {
      run_spans(batch, buffer, direction);
      run_pages(world, batch.pages, buffer, direction);
    }
    ++batches;
  }
  return batches;
}

/// The payload of all objects; what lies between them is nobody's.
std::vector<Bytes> payload(const std::vector<ObjectRef>& objects) {
  std::vector<Bytes> out;
  for (const ObjectRef& object : objects) out.emplace_back(object.data, object.data + object.bytes);
  return out;
}

constexpr std::uint32_t kChunkTokens = 16, kChunks = 3;

TEST(Batcher, StoresEveryFormatByteForByte) {
  for (const KvCase& kv : kv_cases()) {
    SCOPED_TRACE(kv.name);
    World world(kv, kv.name == "hybrid" ? 32 : kChunkTokens, kv.name == "hybrid" ? 2 : kChunks, 1);
    for (const std::uint64_t limit : {8192ull, 10'000ull, 1ull << 20}) {
      Bytes got(world.object_bytes(kAlign)), want(got.size());
      execute(world, world.objects(got.data(), kAlign), Direction::kStore, limit, 0, 0);
      world.copy(Direction::kStore, world.objects(want.data(), kAlign), 0, 0);
      EXPECT_EQ(payload(world.objects(got.data(), kAlign)),
                payload(world.objects(want.data(), kAlign)));
    }
  }
}

TEST(Batcher, RetrievesEveryFormatAndTouchesNothingElse) {
  for (const KvCase& kv : kv_cases()) {
    SCOPED_TRACE(kv.name);
    const bool hybrid = kv.name == "hybrid";
    for (const std::uint64_t skip : {0ull, 9ull, 24ull, 40ull}) {
      World got(kv, hybrid ? 32 : kChunkTokens, hybrid ? 2 : kChunks, 2);
      World want(kv, hybrid ? 32 : kChunkTokens, hybrid ? 2 : kChunks, 2);
      for (World* world : {&got, &want}) world->ids.back()[1] = 0;  // a null block
      Bytes pool(got.object_bytes(kAlign));
      fill_random(pool, 3);
      const auto objects = got.objects(pool.data(), kAlign);
      execute(got, objects, Direction::kRetrieve, 9000, 0, skip);
      want.copy(Direction::kRetrieve, objects, 0, skip);
      EXPECT_EQ(got.segments, want.segments);
    }
  }
}

TEST(Batcher, NeighboursInThePoolGoInOneSpan) {
  World world(kv_cases()[0], kChunkTokens, kChunks, 4);
  Bytes pool(world.object_bytes(kAlign) + 1024);
  auto objects = world.objects(pool.data(), kAlign);
  gpu::Batch batch;
  {
    gpu::Batcher batcher({world.geometry.get(), &world.ids, objects, 0, 0, 0, kAlign});
    ASSERT_TRUE(batcher.next(1 << 20, batch));
    EXPECT_EQ(batch.spans.size(), 1u);
  }
  objects.back().data += 1024;  // somebody else's bytes lie between
  gpu::Batcher batcher({world.geometry.get(), &world.ids, objects, 0, 0, 0, kAlign});
  ASSERT_TRUE(batcher.next(1 << 20, batch));
  EXPECT_EQ(batch.spans.size(), 2u);
}

TEST(Batcher, SkippedChunksAreNotMoved) {
  World world(kv_cases()[0], kChunkTokens, kChunks, 5);
  Bytes pool(world.object_bytes(kAlign));
  const auto objects = world.objects(pool.data(), kAlign);
  gpu::Batcher batcher({world.geometry.get(), &world.ids, objects, 0, 0, 2 * kChunkTokens, kAlign});
  gpu::Batch batch;
  ASSERT_TRUE(batcher.next(1 << 20, batch));
  ASSERT_EQ(batch.spans.size(), 1u);
  EXPECT_EQ(batch.spans[0].host, objects[2].data);
  EXPECT_FALSE(batcher.next(1 << 20, batch));
}

TEST(Batcher, AChunkOfManyBlocksIsCutBetweenThem) {
  KvCase kv;  // one token a block: more ids in a chunk than a batch can name
  kv.made.hints = kv_layout("NHD");
  kv.made.tensors.assign(2, dense("uint8", {2000, 1, 48}));
  kv.made.infos = {group_info(0, {0, 1}, 1)};
  World world(kv, 900, 2, 6);
  Bytes got(world.object_bytes(kAlign)), want(got.size());
  EXPECT_GE(execute(world, world.objects(got.data(), kAlign), Direction::kStore, 1 << 20, 0, 0), 3);
  world.copy(Direction::kStore, world.objects(want.data(), kAlign), 0, 0);
  EXPECT_EQ(payload(world.objects(got.data(), kAlign)),
            payload(world.objects(want.data(), kAlign)));
}

}  // namespace
}  // namespace lmcache::test
