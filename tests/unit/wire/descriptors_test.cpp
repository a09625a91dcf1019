#include "wire/descriptors.hpp"

#include "support/golden.hpp"
#include "support/pack.hpp"

#include <gtest/gtest.h>

namespace lmcache::wire {
namespace {

using test::Pack;

Result<Descriptor> golden(const std::string& name) {
  const auto file = test::load_json("descriptors");
  for (const auto& one : file.at("cases")) {
    if (one.at("case") == name)
      return decode_descriptor(test::from_hex(one.at("descriptor").at("hex")));
  }
  throw std::runtime_error("no golden descriptor " + name);
}

TEST(Descriptors, CpuSegment) {
  const auto d = golden("cpu_shm");
  ASSERT_TRUE(d) << d.error().text;
  EXPECT_EQ(std::get<CpuShmMemory>(d->memory).shm_name, "/lmcache_kv_1_0");
  EXPECT_EQ(std::get<CpuShmMemory>(d->memory).nbytes, 8u);
  EXPECT_EQ(d->dtype, "bfloat16");
  EXPECT_EQ(d->device_uuid, "cpu");
  const auto empty = golden("cpu_shm_empty");
  ASSERT_TRUE(empty);
  EXPECT_EQ(std::get<CpuShmMemory>(empty->memory).nbytes, 0u);
}

TEST(Descriptors, CudaInAllHandleForms) {
  for (const char* name :
       {"cuda_prefixed_v3", "cuda_prefixed_v2_event", "cuda_bare_64", "cuda_view_offset"}) {
    const auto d = golden(name);
    ASSERT_TRUE(d) << name << ": " << d.error().text;
    const auto& memory = std::get<CudaMemory>(d->memory);
    EXPECT_EQ(memory.handle[1], std::byte{1}) << name;
    EXPECT_EQ(memory.handle[63], std::byte{0x3f}) << name;
    EXPECT_EQ(memory.event_required, std::string(name) == "cuda_prefixed_v2_event");
    EXPECT_EQ(memory.counter_file, "/torch_1_2_3");
  }
  EXPECT_EQ(std::get<CudaMemory>(golden("cuda_prefixed_v3")->memory).storage_offset_bytes, 4096u);
  EXPECT_EQ(golden("cuda_view_offset")->storage_offset, 32);
}

TEST(Descriptors, CudaRawAndFabric) {
  const auto raw = golden("cuda_raw");
  ASSERT_TRUE(raw);
  EXPECT_EQ(std::get<CudaRawMemory>(raw->memory).alloc_offset, 8589934592u);
  const auto fabric = golden("cuda_vmm_fabric");
  ASSERT_TRUE(fabric);
  EXPECT_EQ(std::get<CudaVmmMemory>(fabric->memory).alloc_bytes, 2097152u);
  const auto fd = golden("cuda_vmm_fd");
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().cause, Cause::kBadSegment);
  EXPECT_NE(fd.error().text.find("posix_fd"), std::string::npos);
}

Pack metadata() {
  return Pack()
      .map(5)
      .string("dtype")
      .string("uint8")
      .string("shape")
      .integers(std::vector{4, 2})
      .string("stride")
      .integers(std::vector{2, 1})
      .string("storage_offset")
      .integer(0)
      .string("device_uuid")
      .string("cpu");
}

Pack cpu(std::size_t fields) {
  return Pack()
      .map(fields)
      .string("type")
      .string("cpu_shm")
      .string("shm_name")
      .string("/x")
      .string("nbytes")
      .integer(8)
      .string("version")
      .integer(1);
}

TEST(Descriptors, FieldsMayComeInAnyOrder) {
  const Bytes bytes = Pack()
                          .map(5)
                          .string("metadata")
                          .raw(metadata().bytes())
                          .string("version")
                          .integer(1)
                          .string("nbytes")
                          .integer(8)
                          .string("shm_name")
                          .string("/x")
                          .string("type")
                          .string("cpu_shm");
  const auto d = decode_descriptor(bytes);
  ASSERT_TRUE(d) << d.error().text;
}

/// As accelerators of other makers send them: their handles have another form.
TEST(Descriptors, OtherTypesAreRefusedByName) {
  for (const char* type : {"musa", "npu"}) {
    const Bytes bytes = Pack().map(4).string("type").string(type).string("handle").integer(7);
    const auto d = decode_descriptor(bytes);
    ASSERT_FALSE(d);
    EXPECT_EQ(d.error().cause, Cause::kBadSegment);
    EXPECT_NE(d.error().text.find("type '" + std::string(type) + "' is not supported"),
              std::string::npos)
        << d.error().text;
  }
}

TEST(Descriptors, UnknownMissingAndForeignFieldsAreRefused) {
  EXPECT_TRUE(decode_descriptor(cpu(5).string("metadata").raw(metadata().bytes())));
  EXPECT_FALSE(decode_descriptor(cpu(4)));  // no metadata
  EXPECT_FALSE(decode_descriptor(
      cpu(6).string("metadata").raw(metadata().bytes()).string("extra").integer(1)));  // unknown
  EXPECT_FALSE(decode_descriptor(
      cpu(6).string("metadata").raw(metadata().bytes()).string("alloc_offset").integer(1)));
  EXPECT_FALSE(decode_descriptor(Pack()
                                     .map(5)
                                     .string("type")
                                     .string("musa")
                                     .string("shm_name")
                                     .string("/x")
                                     .string("nbytes")
                                     .integer(8)
                                     .string("version")
                                     .integer(1)
                                     .string("metadata")
                                     .raw(metadata().bytes())));
  EXPECT_FALSE(decode_descriptor(Pack()
                                     .map(5)
                                     .string("type")
                                     .string("cpu_shm")
                                     .string("shm_name")
                                     .string("/x")
                                     .string("nbytes")
                                     .integer(8)
                                     .string("version")
                                     .integer(2)
                                     .string("metadata")
                                     .raw(metadata().bytes())));
  EXPECT_FALSE(decode_descriptor(Pack()
                                     .map(5)
                                     .string("type")
                                     .string("cpu_shm")
                                     .string("shm_name")
                                     .string("/x")
                                     .string("nbytes")
                                     .integer(-8)
                                     .string("version")
                                     .integer(1)
                                     .string("metadata")
                                     .raw(metadata().bytes())));
  EXPECT_FALSE(decode_descriptor(Pack().binary("\x80\x04pickle")));
}

TEST(Descriptors, EveryTruncationFails) {
  const Bytes whole = cpu(5).string("metadata").raw(metadata().bytes());
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(decode_descriptor(ByteView{whole}.first(n))) << n;
}

TEST(Descriptors, SpanCountsPaddingAndRefusesOverflow) {
  Descriptor d;
  d.shape = {3, 4};
  d.stride = {100, 1};
  d.storage_offset = 7;
  EXPECT_EQ(*span_bytes(d, 2), 2u * (7 + 1 + 200 + 3));
  d.shape = {0, 4};
  EXPECT_EQ(*span_bytes(d, 2), 0u);
  d.shape = {std::int64_t{1} << 40, 2};
  d.stride = {std::int64_t{1} << 40, 1};
  EXPECT_FALSE(span_bytes(d, 2));
}

}  // namespace
}  // namespace lmcache::wire
