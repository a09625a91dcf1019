#include "wire/operations.hpp"

#include "support/golden.hpp"
#include "support/pack.hpp"

#include <gtest/gtest.h>

namespace lmcache::wire {
namespace {

using test::Pack;

TEST(Operations, AreFoundByNumberAndByName) {
  for (const Operation& operation : all_operations()) {
    const Bytes by_name = Pack().string(operation.name);
    EXPECT_EQ(find_operation(by_name), &operation) << operation.name;
    const auto id = static_cast<std::int64_t>(operation.op);
    const Bytes by_id = Pack().integer(id);
    EXPECT_EQ(find_operation(by_id), id <= 33 ? &operation : nullptr) << operation.name;
  }
}

TEST(Operations, UnknownOnesAreNot) {
  for (const Bytes& frame : {Bytes(Pack().integer(11)), Bytes(Pack().integer(0)),
                             Bytes(Pack().integer(-6)), Bytes(Pack().integer(34)),
                             Bytes(Pack().integer(64)), Bytes(Pack().string("store_everything")),
                             Bytes(Pack().nil()), Bytes(Pack().integer(6).integer(6)), Bytes{}}) {
    EXPECT_EQ(find_operation(frame), nullptr);
  }
}

TEST(Operations, AllOfTheProtocolsTableAreKnown) {
  EXPECT_EQ(all_operations().size(), 35u);
}

TEST(Operations, RecordedRequestsHaveTheFramesWeExpect) {
  for (const char* file : {"management", "register", "lookup", "store", "retrieve", "session_end",
                           "not_served", "encoded_requests"}) {
    for (const auto& one : test::load_golden(file)) {
      const Operation* operation = find_operation(one.request[1]);
      ASSERT_NE(operation, nullptr) << one.name;
      EXPECT_EQ(operation->name, one.operation);
      EXPECT_EQ(operation->payload_frames, one.request.size() - 2) << one.name;
    }
  }
}

}  // namespace
}  // namespace lmcache::wire
