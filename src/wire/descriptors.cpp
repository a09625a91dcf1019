#include "wire/descriptors.hpp"

#include <algorithm>
#include <optional>

namespace lmcache::wire {
namespace {

constexpr std::size_t kRankMax = 16;
constexpr std::int64_t kVersion = 1;
constexpr std::byte kCudaMallocType{'c'};
constexpr std::byte kExpandableType{'e'};

Error bad_descriptor(std::string text) {
  return {Cause::kMalformed, "tensor descriptor: " + std::move(text)};
}

/// Every field any descriptor type has; which of them a type must and may have is checked once all
/// are read, because the tag may come last.
struct Fields {
  std::optional<std::string> type, shm_name, kind;
  std::optional<std::int64_t> version, nbytes, alloc_offset, alloc_size;
  std::optional<ByteView> ipc_handle, export_id, fabric_blob;
  bool fabric_seen = false, metadata_seen = false, handle_seen = false;
  CudaMemory cuda;
};

bool supported(std::string_view type) {
  return type == "cpu_shm" || type == "cuda" || type == "cuda_raw" || type == "cuda_vmm";
}

Error unsupported(std::string_view type) {
  return {Cause::kBadSegment, "tensor descriptor: memory of type '" +
                                  std::string(type.substr(0, 32)) +
                                  "' is not supported; supported: cpu_shm, cuda, cuda_raw, "
                                  "cuda_vmm"};
}

bool read_text(MsgpackReader& in, std::optional<std::string>& out) {
  std::string_view text;
  if (!in.read_string(text)) return false;
  out = std::string(text);
  return true;
}

bool read_size(MsgpackReader& in, std::optional<std::int64_t>& out) {
  std::int64_t value = 0;
  if (!in.read_int(value)) return false;
  if (value < 0) return in.fail("a size is negative");
  out = value;
  return true;
}

bool read_blob(MsgpackReader& in, std::optional<ByteView>& out) {
  ByteView view;
  if (!in.read_binary(view)) return false;
  out = view;
  return true;
}

template <std::size_t N>
bool copy_exact(ByteView from, std::array<std::byte, N>& to) {
  if (from.size() != N) return false;
  std::copy(from.begin(), from.end(), to.begin());
  return true;
}

// The allocator's handle comes bare (64), with a type byte (65), or with version and type bytes
// (66).
bool read_allocator_handle(MsgpackReader& in, CudaMemory& out) {
  if (in.read_nil_if_present()) {
    out.empty = true;
    return true;
  }
  ByteView raw;
  if (!in.read_binary(raw)) return false;
  const std::size_t prefix = raw.size() > 64 ? raw.size() - 64 : 0;
  if (raw.size() >= 2 && raw.size() != 64 &&
      (raw[0] == kExpandableType || raw[1] == kExpandableType)) {
    return in.fail(
        "memory of expandable segments cannot be imported; unset expandable_segments in the "
        "engine");
  }
  if (raw.size() < 64 || prefix > 2) return in.fail("a CUDA memory handle has an unknown length");
  if (prefix > 0 && raw[prefix - 1] != kCudaMallocType)
    return in.fail("a CUDA memory handle has an unknown type");
  return copy_exact(raw.subspan(prefix), out.handle);
}

// The 8-tuple of torch's shared CUDA storage.
bool read_cuda_handle(MsgpackReader& in, CudaMemory& out) {
  std::size_t count = 0;
  if (!in.read_array(count)) return false;
  if (count != 8) return in.fail("a CUDA handle must have 8 elements");
  std::int64_t ordinal = 0;  // the exporter's; means nothing here
  std::optional<std::int64_t> bytes, offset, counter;
  if (!in.read_int(ordinal) || !read_allocator_handle(in, out) || !read_size(in, bytes) ||
      !read_size(in, offset)) {
    return false;
  }
  ByteView file, event;
  if (!in.read_nil_if_present() && !in.read_binary(file)) return false;
  if (!read_size(in, counter)) return false;
  if (!in.read_nil_if_present() && !in.read_binary(event)) return false;
  if (!in.read_bool(out.event_required)) return false;
  if (!event.empty() && !copy_exact(event, out.event))
    return in.fail("a CUDA event handle must have 64 bytes");
  if (out.event_required && event.empty())
    return in.fail("an event must be waited for but is missing");
  out.storage_bytes = static_cast<std::uint64_t>(*bytes);
  out.storage_offset_bytes = static_cast<std::uint64_t>(*offset);
  out.counter_file.assign(reinterpret_cast<const char*>(file.data()), file.size());
  out.counter_index = static_cast<std::uint64_t>(*counter);
  return true;
}

bool read_extents(MsgpackReader& in, std::vector<std::int64_t>& out) {
  std::size_t count = 0;
  if (!in.read_array(count)) return false;
  if (count > kRankMax) return in.fail("a tensor has too many dimensions");
  out.resize(count);
  for (std::int64_t& value : out) {
    if (!in.read_int(value)) return false;
    if (value < 0) return in.fail("a shape or stride is negative");
  }
  return true;
}

bool read_metadata(MsgpackReader& in, Descriptor& out) {
  std::size_t entries = 0;
  if (!in.read_map(entries)) return false;
  unsigned seen = 0;
  for (; entries > 0; --entries) {
    std::string_view name;
    if (!in.read_string(name)) return false;
    std::string_view text;
    if (name == "dtype") {
      if (!in.read_string(text)) return false;
      out.dtype = std::string(text);
      seen |= 1;
    } else if (name == "shape") {
      if (!read_extents(in, out.shape)) return false;
      seen |= 2;
    } else if (name == "stride") {
      if (!read_extents(in, out.stride)) return false;
      seen |= 4;
    } else if (name == "storage_offset") {
      if (!in.read_int(out.storage_offset)) return false;
      if (out.storage_offset < 0) return in.fail("storage_offset is negative");
      seen |= 8;
    } else if (name == "device_uuid") {
      if (!in.read_string(text)) return false;
      out.device_uuid = std::string(text);
      seen |= 16;
    } else {
      return in.fail("unknown metadata field");
    }
  }
  if (seen != 31) return in.fail("a metadata field is missing");
  return out.shape.size() == out.stride.size() || in.fail("shape and stride differ in rank");
}

bool read_field(MsgpackReader& in, std::string_view name, Fields& fields, Descriptor& out) {
  if (name == "type") return read_text(in, fields.type);
  if (name == "version") return read_size(in, fields.version);
  if (name == "metadata") return fields.metadata_seen = read_metadata(in, out);
  if (name == "shm_name") return read_text(in, fields.shm_name);
  if (name == "nbytes") return read_size(in, fields.nbytes);
  if (name == "handle") return fields.handle_seen = read_cuda_handle(in, fields.cuda);
  if (name == "ipc_handle") return read_blob(in, fields.ipc_handle);
  if (name == "alloc_offset") return read_size(in, fields.alloc_offset);
  if (name == "alloc_size") return read_size(in, fields.alloc_size);
  if (name == "export_id") return read_blob(in, fields.export_id);
  if (name == "kind") return read_text(in, fields.kind);
  if (name == "fabric_blob") {
    fields.fabric_seen = true;
    return in.read_nil_if_present() || read_blob(in, fields.fabric_blob);
  }
  return in.fail("unknown field");
}

/// The fields beside type, version and metadata that are present, as a bit per name.
unsigned present(const Fields& f) {
  return (f.shm_name ? 1u : 0) | (f.nbytes ? 2u : 0) | (f.handle_seen ? 4u : 0) |
         (f.ipc_handle ? 8u : 0) | (f.alloc_offset ? 16u : 0) | (f.alloc_size ? 32u : 0) |
         (f.export_id ? 64u : 0) | (f.kind ? 128u : 0) | (f.fabric_seen ? 256u : 0);
}

Result<DeviceMemory> cuda_raw_memory(const Fields& f) {
  CudaRawMemory memory;
  if (!copy_exact(*f.ipc_handle, memory.handle))
    return bad_descriptor("ipc_handle must have 64 bytes");
  memory.alloc_offset = static_cast<std::uint64_t>(*f.alloc_offset);
  memory.nbytes = static_cast<std::uint64_t>(*f.nbytes);
  return memory;
}

Result<DeviceMemory> cuda_vmm_memory(const Fields& f) {
  if (*f.kind == "posix_fd") {
    return Error{Cause::kBadSegment,
                 "tensor descriptor: cuda_vmm of kind posix_fd is not supported: its descriptor "
                 "would have to arrive out of band, "
                 "and no released client sends it; use fabric handles or cudaMalloc memory"};
  }
  if (*f.kind != "fabric") return bad_descriptor("cuda_vmm kind must be posix_fd or fabric");
  CudaVmmMemory memory;
  if (!copy_exact(*f.export_id, memory.export_id))
    return bad_descriptor("export_id must have 16 bytes");
  if (!f.fabric_blob || !copy_exact(*f.fabric_blob, memory.fabric))
    return bad_descriptor("fabric_blob must have 64 bytes");
  memory.alloc_bytes = static_cast<std::uint64_t>(*f.alloc_size);
  memory.alloc_offset = static_cast<std::uint64_t>(*f.alloc_offset);
  memory.nbytes = static_cast<std::uint64_t>(*f.nbytes);
  if (memory.alloc_offset > memory.alloc_bytes ||
      memory.nbytes > memory.alloc_bytes - memory.alloc_offset) {
    return bad_descriptor("cuda_vmm tensor lies outside its allocation");
  }
  return memory;
}

Result<DeviceMemory> assemble(const Fields& f) {
  constexpr unsigned kCpu = 1 | 2, kCuda = 4, kRaw = 2 | 8 | 16,
                     kVmm = 2 | 16 | 32 | 64 | 128 | 256;
  const unsigned have = present(f);
  const auto exactly = [&](unsigned want) { return have == want; };
  const Error fields =
      bad_descriptor("a field of type '" + *f.type + "' is missing or does not belong to it");
  if (*f.type == "cpu_shm") {
    if (!exactly(kCpu)) return fields;
    return CpuShmMemory{*f.shm_name, static_cast<std::uint64_t>(*f.nbytes)};
  }
  if (*f.type == "cuda") {
    if (!exactly(kCuda)) return fields;
    return f.cuda;
  }
  if (*f.type == "cuda_raw") {
    if (!exactly(kRaw)) return fields;
    return cuda_raw_memory(f);
  }
  if (!exactly(kVmm)) return fields;
  return cuda_vmm_memory(f);
}

}  // namespace

Result<Descriptor> decode_descriptor(ByteView data) {
  MsgpackReader in(data);
  Descriptor out;
  Fields fields;
  std::size_t entries = 0;
  if (!in.read_map(entries)) return bad_descriptor("not a map");
  for (; entries > 0; --entries) {
    std::string_view name;
    if (!in.read_string(name) || !read_field(in, name, fields, out)) {
      return bad_descriptor(std::string(in.error()) + " (field '" +
                            std::string(name.substr(0, 32)) + "')");
    }
    // At once: its other fields are its own, and may be of any kind.
    if (fields.type && !supported(*fields.type)) return unsupported(*fields.type);
  }
  if (!in.finished()) return bad_descriptor(std::string(in.error()));
  if (!fields.type) return bad_descriptor("field 'type' is missing");
  if (fields.version != kVersion) return bad_descriptor("version must be 1");
  if (!fields.metadata_seen) return bad_descriptor("field 'metadata' is missing");
  auto memory = assemble(fields);
  if (!memory) return memory.error();
  out.memory = std::move(*memory);
  return out;
}

Result<std::uint64_t> span_bytes(const Descriptor& descriptor, std::uint32_t item_bytes) {
  const Error overflow{Cause::kMalformed, "tensor descriptor: shape and stride overflow"};
  std::uint64_t elements = static_cast<std::uint64_t>(descriptor.storage_offset);
  for (std::size_t i = 0; i < descriptor.shape.size(); ++i) {
    if (descriptor.shape[i] == 0) return std::uint64_t{0};
    std::uint64_t extent = 0;
    if (__builtin_mul_overflow(static_cast<std::uint64_t>(descriptor.shape[i] - 1),
                               static_cast<std::uint64_t>(descriptor.stride[i]), &extent) ||
        __builtin_add_overflow(elements, extent, &elements)) {
      return overflow;
    }
  }
  std::uint64_t bytes = 0;
  if (__builtin_add_overflow(elements, std::uint64_t{1}, &elements) ||
      __builtin_mul_overflow(elements, std::uint64_t{item_bytes}, &bytes)) {
    return overflow;
  }
  return bytes;
}

}  // namespace lmcache::wire
