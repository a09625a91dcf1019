#include "gpu/memory.hpp"

#include "geometry/layout.hpp"
#include "gpu/cuda.hpp"

#include <algorithm>
#include <cstring>

namespace lmcache::gpu {
namespace {

kernels::PageLoop loop(const PagePart& part) {
  return {part.page,    part.object, part.page0, part.page1, part.object0,
          part.object1, part.run,    part.n0,    part.n1};
}

}  // namespace

std::uint32_t Memory::allocation_of(const std::byte* page) const {
  const auto found = std::ranges::find_if(contents_.allocations, [page](const AllocationPtr& one) {
    return page >= one->base() && page < one->base() + one->bytes();
  });
  return static_cast<std::uint32_t>(found - contents_.allocations.begin());
}

void Memory::give_up(Clock::time_point when) noexcept {
  Clock::time_point until = waited_until_.load();
  while (when < until && !waited_until_.compare_exchange_weak(until, when)) {
  }
}

bool Memory::usable() {
  std::erase_if(contents_.first_use,
                [](const Event& event) { return cudaEventQuery(event.get()) == cudaSuccess; });
  return contents_.first_use.empty();
}

Status Memory::prepare(const Geometry& geometry, const std::vector<std::byte*>& bases) {
  if (prepared_) return {};
  origins_.clear();
  std::size_t words = 0;
  for (const KernelGroup& group : geometry.kernel_groups) {
    std::vector<Origin>& addresses = origins_.emplace_back();
    for (const PlaneOrigin& origin : group.origins) {
      const std::byte* page = bases[origin.tensor] + origin.offset;
      addresses.push_back({reinterpret_cast<std::uint64_t>(page), allocation_of(page)});
    }
    words += addresses.size();
  }
  const std::size_t groups_bytes = geometry.kernel_groups.size() * sizeof(kernels::PageGroup);
  std::vector<std::byte> image(groups_bytes + words * 8);
  // Kept when uploading fails: the next transfer tries again.
  if (contents_.table == nullptr) {
    const cudaError_t error = cudaMalloc(&contents_.table, image.size());
    if (error != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      contents_.table = nullptr;
      return cuda_error(Cause::kNoMemory, "memory for a registration's tables", error);
    }
  }
  std::uint64_t at = groups_bytes;
  for (std::size_t g = 0; g < origins_.size(); ++g) {
    const KernelGroup& group = geometry.kernel_groups[g];
    kernels::PageGroup made{};
    made.origins =
        reinterpret_cast<const std::uint64_t*>(static_cast<const std::byte*>(contents_.table) + at);
    made.block_stride = group.block_stride_bytes;
    made.page_bytes = static_cast<std::uint32_t>(geometry::page_bytes(group));
    const bool one_run = group.parts.size() == 1 && group.parts[0].run == made.page_bytes;
    made.loops = one_run ? 0 : static_cast<std::uint32_t>(group.parts.size());
    for (std::uint32_t l = 0; l < made.loops; ++l) made.loop[l] = loop(group.parts[l]);
    std::memcpy(image.data() + g * sizeof made, &made, sizeof made);
    for (const Origin& origin : origins_[g]) {
      std::memcpy(image.data() + at, &origin.address, sizeof origin.address);
      at += sizeof origin.address;
    }
  }
  Status uploaded =
      check(cudaMemcpy(contents_.table, image.data(), image.size(), cudaMemcpyHostToDevice),
            "uploading a registration's tables");
  prepared_ = uploaded.has_value();
  return uploaded;
}

}  // namespace lmcache::gpu
