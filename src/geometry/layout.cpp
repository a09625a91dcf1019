#include "geometry/layout.hpp"

#include "geometry/checked.hpp"
#include "geometry/text.hpp"

namespace lmcache::geometry {
namespace {

constexpr std::uint64_t kIndexerValues = 128;
constexpr std::uint64_t kIndexerScale = 4;

bool head_major(KvFormat format) {
  switch (format) {
    case KvFormat::kNlXTwoNbNhBsHs:
    case KvFormat::kNlXNbTwoNhBsHs:
    case KvFormat::kNbNlTwoNhBsHs:
    case KvFormat::kNlXNbNhBsCs:
      return true;
    case KvFormat::kNbNlTwoBsNhHs:
    case KvFormat::kNlXTwoNbBsNhHs:
    case KvFormat::kNlXNbTwoBsNhHs:
    case KvFormat::kNlXNbBsHs:
    case KvFormat::kTwoXNlXNbbsNhHs:
    case KvFormat::kNlXNbbsOneHs:
    case KvFormat::kTwoXNlXNbBsNhHs:
    case KvFormat::kNlXNbBsNhCs:
    case KvFormat::kNlXNbBsvBss:
    case KvFormat::kNlXNbBsNhHs:
      return false;
  }
  return false;
}

}  // namespace

std::uint64_t page_bytes(const KernelGroup& group) noexcept {
  return std::uint64_t{group.slots_per_block} * group.row_bytes;
}

std::vector<PagePart> page_parts(const KernelGroup& group) {
  const std::uint32_t slots = group.slots_per_block;
  if (group.format == KvFormat::kNlXNbBsvBss && slots > 1) {
    PagePart values;
    values.n0 = slots;
    values.page0 = kIndexerValues;
    values.object0 = group.row_bytes;
    values.run = kIndexerValues;
    PagePart scales = values;
    scales.page = slots * kIndexerValues;
    scales.object = kIndexerValues;
    scales.page0 = kIndexerScale;
    scales.run = kIndexerScale;
    return {values, scales};
  }
  PagePart part;
  if (head_major(group.format) && group.heads > 1 && slots > 1) {
    // Rows outside, heads inside, so that the object is walked from front to back.
    part.run = std::uint64_t{group.head_size} * group.item_bytes;
    part.n0 = slots;
    part.page0 = part.run;
    part.object0 = group.row_bytes;
    part.n1 = group.heads;
    part.page1 = slots * part.run;
    part.object1 = part.run;
    return {part};
  }
  part.run = page_bytes(group);
  return {part};
}

Status check_pages(const KernelGroup& group, std::span<const TensorDesc> tensors) {
  for (const PlaneOrigin& origin : group.origins) {
    const TensorDesc& tensor = tensors[origin.tensor];
    const Checked end = Checked(group.num_blocks - 1) * group.block_stride_bytes + origin.offset +
                        page_bytes(group);
    if (!end.fits(tensor.segment_bytes)) {
      return bad_geometry(describe(origin.tensor, tensor) + ": block " +
                          std::to_string(group.num_blocks - 1) + " ends behind its segment of " +
                          std::to_string(tensor.segment_bytes) + " bytes");
    }
  }
  return {};
}

}  // namespace lmcache::geometry
