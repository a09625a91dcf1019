// How an engine's tensors name their memory (docs/PROTOCOL.md): the data of an Ext 1 value. Pure.
#pragma once

#include "wire/message.hpp"

#include <lmcache/geometry.hpp>

#include <cstdint>
#include <span>
#include <string_view>

namespace lmcache::load {

/// A view of a segment in /dev/shm.
[[nodiscard]] wire::Bytes shared_descriptor(std::string_view name, std::uint64_t bytes,
                                            const TensorDesc& tensor);

/// A view of an allocation that begins with its storage, of so many bytes. `handle` is its
/// cudaIpcMemHandle_t.
[[nodiscard]] wire::Bytes cuda_descriptor(std::span<const std::byte, 64> handle,
                                          std::uint64_t bytes, std::string_view device_uuid,
                                          const TensorDesc& tensor);

}  // namespace lmcache::load
