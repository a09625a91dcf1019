// Memory comes from the NUMA node of the CPU that touches it first; a DMA to another node's memory
// is slower.
#pragma once

#include <filesystem>
#include <vector>

namespace lmcache::gpu {

/// CPUs of the NUMA nodes that NVIDIA GPUs are attached to, ascending; empty if there are none or
/// the kernel does not say. The folder is an argument for tests only.
[[nodiscard]] std::vector<unsigned> gpu_cpus(const std::filesystem::path& sys = "/sys");

/// True if an NVIDIA GPU is attached, whether or not its driver works.
[[nodiscard]] bool any_gpu(const std::filesystem::path& sys = "/sys");

/// Confines the calling thread to those CPUs, if there are any.
void run_on_gpu_cpus();

}  // namespace lmcache::gpu
