// Device descriptors: how an engine's tensor names its memory (Ext type 1, PROTOCOL.md
// "Descriptors"). Unknown fields and types are refused.
#pragma once

#include "wire/msgpack_reader.hpp"

#include <lmcache/status.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace lmcache::wire {

/// A segment in /dev/shm; `nbytes` is the length to map and may cover a storage shared by several
/// views.
struct CpuShmMemory {
  std::string shm_name;
  std::uint64_t nbytes = 0;
};

/// torch's shared-storage export: an allocation opened by handle, the storage at an offset inside
/// it.
struct CudaMemory {
  std::array<std::byte, 64> handle{};      ///< cudaIpcMemHandle_t
  bool empty = false;                      ///< empty storage: nothing to open
  std::uint64_t storage_bytes = 0;         ///< the limit of the view
  std::uint64_t storage_offset_bytes = 0;  ///< of the storage inside the allocation
  std::string counter_file;
  std::uint64_t counter_index = 0;
  std::array<std::byte, 64> event{};  ///< wait for it before first use if event_required
  bool event_required = false;
};

/// A whole allocation by bare handle (isolated IPC).
struct CudaRawMemory {
  std::array<std::byte, 64> handle{};
  std::uint64_t alloc_offset = 0, nbytes = 0;
};

/// Virtual-memory-management allocation, importable through a fabric handle.
struct CudaVmmMemory {
  std::array<std::byte, 16> export_id{};
  std::array<std::byte, 64> fabric{};
  std::uint64_t alloc_bytes = 0, alloc_offset = 0, nbytes = 0;
};

using DeviceMemory = std::variant<CpuShmMemory, CudaMemory, CudaRawMemory, CudaVmmMemory>;

struct Descriptor {
  DeviceMemory memory;
  std::string dtype;
  std::vector<std::int64_t> shape, stride;  ///< elements, equal rank, non-negative
  std::int64_t storage_offset = 0;          ///< elements
  std::string device_uuid;                  ///< "cpu" or the CUDA device's UUID text
};

/// Decodes the data of one Ext 1 value.
[[nodiscard]] Result<Descriptor> decode_descriptor(ByteView data);

/// Bytes the view spans from the start of its memory, or kMalformed when that overflows.
[[nodiscard]] Result<std::uint64_t> span_bytes(const Descriptor& descriptor,
                                               std::uint32_t item_bytes);

}  // namespace lmcache::wire
