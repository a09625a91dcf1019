// The load generator's tensors on a GPU keep the bytes that were written to them.
#include "load/pattern.hpp"
#include "load/tensor_memory.hpp"

#include <gtest/gtest.h>

namespace lmcache::load {
namespace {

// Larger than the buffer that they go through, with gaps, in two segments.
std::vector<Page> pages() {
  std::vector<Page> made;
  for (std::uint64_t i = 0; i < 200; ++i) {
    made.push_back({0, i * 70'000, 65'536});
    made.push_back({1, i * 2'000, 1'728});
  }
  return made;
}

std::size_t with_pattern(TensorMemory& tensors, const std::vector<Page>& all) {
  std::size_t good = 0;
  tensors.read(all, [&](std::size_t page, std::span<const std::byte> bytes) {
    EXPECT_EQ(bytes.size(), all[page].bytes);
    if (has_pattern(bytes, page)) ++good;
  });
  return good;
}

TEST(CudaTensors, KeepWhatIsWritten) {
  MakeTensors make = nullptr;
  try {
    make = cuda_tensors();
  } catch (const std::runtime_error& error) {
    GTEST_SKIP() << "NO GPU: nothing here was tested: " << error.what();
  }
  const auto tensors = make({200 * 70'000, 200 * 2'000});
  const std::vector<Page> all = pages();
  EXPECT_EQ(with_pattern(*tensors, all), 0u);
  tensors->write(all,
                 [](std::size_t page, std::span<std::byte> bytes) { write_pattern(bytes, page); });
  EXPECT_EQ(with_pattern(*tensors, all), all.size());
  tensors->wipe();
  EXPECT_EQ(with_pattern(*tensors, all), 0u);
  EXPECT_EQ(tensors->event().size(), 64u);
  EXPECT_THROW(tensors->wait({}, [] {}), std::runtime_error);
}

}  // namespace
}  // namespace lmcache::load
