#include "load/tensor_memory.hpp"
#include "load/page_batch.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace lmcache::load {
namespace {

TEST(PageBatch, TakesWhatFits) {
  const std::vector<Page> pages{{0, 0, 30}, {0, 30, 30}, {1, 0, 40}, {1, 40, 101}};
  EXPECT_EQ(batch_end(pages, 0, 100), 3u);
  EXPECT_EQ(batch_end(pages, 0, 99), 2u);
  EXPECT_EQ(batch_end(pages, 2, 100), 3u);
  EXPECT_EQ(batch_end(pages, 3, 100), 3u) << "it never fits";
  EXPECT_EQ(batch_end(pages, 4, 100), 4u) << "nothing is left";
}

TEST(SharedTensors, ATransferHasEndedWhenItIsAnswered) {
  const auto tensors = make_shared_tensors({4096});
  const wire::Bytes event = tensors->event();
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(event.data()), event.size()),
            "stub_ipc_handle");
  tensors->wait({}, [] { FAIL() << "it waits"; });
}

}  // namespace
}  // namespace lmcache::load
