#include "load/descriptors.hpp"

#include "wire/msgpack_writer.hpp"

#include <array>

namespace lmcache::load {
namespace {

using wire::MsgpackWriter;

void append_view(MsgpackWriter& out, const TensorDesc& tensor, std::string_view device) {
  out.string("version").integer(1).string("metadata").map(5).string("dtype").string(tensor.dtype);
  out.string("shape").integers(tensor.shape).string("stride").integers(tensor.stride);
  out.string("storage_offset").integer(tensor.storage_offset);
  out.string("device_uuid").string(device);
}

}  // namespace

wire::Bytes shared_descriptor(std::string_view name, std::uint64_t bytes,
                              const TensorDesc& tensor) {
  MsgpackWriter out;
  out.map(5).string("type").string("cpu_shm").string("shm_name").string(name);
  out.string("nbytes").integer(static_cast<std::int64_t>(bytes));
  append_view(out, tensor, "cpu");
  return out.bytes();
}

// torch's shared storage, not a bare handle ("cuda_raw"): the published server takes views with
// gaps only so, and without another library.
wire::Bytes cuda_descriptor(std::span<const std::byte, 64> handle, std::uint64_t bytes,
                            std::string_view device_uuid, const TensorDesc& tensor) {
  // torch counts down in this file when it lets the storage go, and passes over a file that is not
  // there. Nothing here waits for that count.
  constexpr std::string_view kNoCounter = "/lmcache_load_no_counter";
  constexpr std::array<std::byte, 64> kNoEvent{};
  MsgpackWriter out;
  out.map(4).string("type").string("cuda").string("handle").array(8);
  out.integer(0).binary(handle).integer(static_cast<std::int64_t>(bytes)).integer(0);
  out.binary(std::as_bytes(std::span(kNoCounter))).integer(0).binary(kNoEvent).boolean(false);
  append_view(out, tensor, device_uuid);
  return out.bytes();
}

}  // namespace lmcache::load
