#include "pool/arena.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

namespace lmcache::pool {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::uint64_t kGib = 1ull << 30;
const MemoryLimit kPlenty{1ull << 40, "test"};

std::uint64_t resident_kib() {
  std::ifstream file("/proc/self/status");
  std::string name;
  while (file >> name)
    if (std::uint64_t kib = 0; name == "VmRSS:" && file >> kib) return kib;
  return 0;
}

/// Whether there is memory of any kind at this address.
bool mapped(std::byte* page) {
  unsigned char resident = 0;
  return ::mincore(page, 4096, &resident) == 0;
}

TEST(Arena, IsZeroWritableAndGoneAtTheEnd) {
  std::byte* where = nullptr;
  {
    const Arena arena = Arena::create(1 << 20, kPlenty).value();
    ASSERT_EQ(arena.memory().size(), 1u << 20);
    EXPECT_TRUE(std::ranges::all_of(arena.memory(), [](std::byte b) { return b == std::byte{}; }));
    arena.memory().back() = std::byte{7};
    EXPECT_EQ(arena.memory().back(), std::byte{7});
    where = arena.memory().data();
    EXPECT_TRUE(mapped(where));
  }
  EXPECT_FALSE(mapped(where));
}

TEST(Arena, RoundsUpToWholePages) {
  const Arena arena = Arena::create(1, kPlenty).value();
  EXPECT_EQ(arena.memory().size() % 4096, 0u);
  EXPECT_GE(arena.memory().size(), 4096u);
}

TEST(Arena, StartsWhereAHugePageCan) {
  const Arena arena = Arena::create(3 << 20, kPlenty).value();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(arena.memory().data()) % (2 << 20), 0u);
}

TEST(Arena, HugePagesThatAreMissingAreNamedWithTheirCure) {
  // 100 pages, of which 70 are free, and 30 of those another program's already.
  const auto arena = Arena::create(100ull << 20, kPlenty, Arena::Pages::kHuge, {100, 70, 30});
  ASSERT_FALSE(arena);
  EXPECT_THAT(arena.error().text,
              AllOf(HasSubstr("needs 50 free pages of 2 MiB and there are 40, so 10 are missing"),
                    HasSubstr("sysctl vm.nr_hugepages=110")));
}

TEST(Arena, TheReserveOfHugePagesIsReadFromTheKernelsFiles) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "lmcache_hugepages";
  std::filesystem::create_directories(folder);
  for (const auto& [name, pages] :
       {std::pair{"nr_hugepages", 9}, {"free_hugepages", 5}, {"resv_hugepages", 2}})
    std::ofstream(folder / name) << pages << '\n';
  const HugePages there = huge_pages(folder);
  EXPECT_EQ(there.total, 9u);
  EXPECT_EQ(there.available(), 3u);
  std::filesystem::remove_all(folder);
  EXPECT_EQ(huge_pages(folder).available(), 0u);
}

TEST(Arena, TakesNoMemoryUntilWritten) {
  const std::uint64_t before = resident_kib();
  const Arena arena = Arena::create(16 * kGib, kPlenty).value();
  EXPECT_EQ(arena.memory().size(), 16 * kGib);
  EXPECT_LT(resident_kib(), before + 4096);
}

TEST(Arena, MovesKeepOneOwner) {
  Arena a = Arena::create(4096, kPlenty).value();
  std::byte* const base = a.memory().data();
  Arena b = std::move(a);
  EXPECT_EQ(b.memory().data(), base);
  a = std::move(b);
  ASSERT_EQ(a.memory().data(), base);
  a.memory()[0] = std::byte{1};
}

TEST(Arena, LargerThanMemoryNamesBothSizesAndTheFlag) {
  const auto arena = Arena::create(3 * kGib, {2 * kGib, "available memory"});
  ASSERT_FALSE(arena);
  EXPECT_EQ(arena.error().cause, Cause::kNoMemory);
  EXPECT_THAT(arena.error().text, AllOf(HasSubstr("3.000 GiB"), HasSubstr("2.000 GiB"),
                                        HasSubstr("available memory"), HasSubstr("--l1-size-gb")));
  EXPECT_TRUE(Arena::create(2 * kGib, {2 * kGib, "available memory"}));
}

TEST(Arena, ImpossibleSizesAreErrors) {
  EXPECT_EQ(Arena::create(0, kPlenty).error().cause, Cause::kNoMemory);
  for (const std::uint64_t size : {UINT64_MAX, UINT64_MAX / 2, UINT64_MAX / 4}) {
    const auto arena = Arena::create(size, MemoryLimit{});
    ASSERT_FALSE(arena) << size;
    EXPECT_THAT(arena.error().text, HasSubstr("--l1-size-gb"));
  }
}

}  // namespace
}  // namespace lmcache::pool
