// Layers of a dense engine in a simulated GPU's memory, as its registration names them.
#pragma once

#include "support/harness.hpp"
#include "support/pack.hpp"
#include "unit/gpu/simulated_cuda.hpp"

#include <cstdint>
#include <span>
#include <vector>

namespace lmcache::test {

/// Each layer is the memory of `blocks` blocks of a DenseWorker.
inline Pack layer_descriptors(std::span<const wire::Bytes> layers, std::int64_t blocks) {
  constexpr std::int64_t kHeads = DenseWorker::kHeads, kHead = DenseWorker::kHead,
                         kBlock = DenseWorker::kBlock;
  Pack tensors;
  tensors.array(layers.size());
  for (const wire::Bytes& layer : layers) {
    const auto handle = simulated::exported(layer);
    Pack out;
    out.map(6).string("type").string("cuda_raw").string("version").integer(1);
    out.string("ipc_handle")
        .binary({reinterpret_cast<const char*>(handle.data()), handle.size()})
        .string("alloc_offset")
        .integer(0)
        .string("nbytes")
        .integer(static_cast<std::int64_t>(layer.size()));
    out.string("metadata").map(5).string("dtype").string("bfloat16");
    out.string("shape").integers(std::vector<std::int64_t>{blocks, 2, kBlock, kHeads, kHead});
    out.string("stride").integers(std::vector<std::int64_t>{
        2 * kBlock * kHeads * kHead, kBlock * kHeads * kHead, kHeads * kHead, kHead, 1});
    out.string("storage_offset").integer(0).string("device_uuid").string(simulated::uuid(0));
    tensors.ext(1, out);
  }
  return tensors;
}

}  // namespace lmcache::test
