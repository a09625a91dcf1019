#include "geometry/fingerprint.hpp"

extern "C" {
#include <blake3.h>
}

#include <string_view>

namespace lmcache::geometry {
namespace {

/// Formats whose object bytes mean the same thing once heads, sizes and planes agree.
std::string_view byte_family(KvFormat format) {
  switch (format) {
    case KvFormat::kNbNlTwoBsNhHs:
    case KvFormat::kNlXTwoNbBsNhHs:
    case KvFormat::kNlXNbTwoBsNhHs:
    case KvFormat::kTwoXNlXNbbsNhHs:
    case KvFormat::kNlXTwoNbNhBsHs:
    case KvFormat::kNlXNbTwoNhBsHs:
    case KvFormat::kNbNlTwoNhBsHs:
    case KvFormat::kTwoXNlXNbBsNhHs:
      return "split";
    case KvFormat::kNlXNbNhBsCs:
    case KvFormat::kNlXNbBsNhCs:
      return "fused";
    case KvFormat::kNlXNbBsHs:
    case KvFormat::kNlXNbbsOneHs:
    case KvFormat::kNlXNbBsNhHs:
      return "single";
    case KvFormat::kNlXNbBsvBss:
      return "indexer";
  }
  return "unknown";
}

/// A byte-typed page of one plane may have an inner structure (values of all tokens, then their
/// scales), so its bytes depend on the rows of a block. The indexer's are re-ordered into rows and
/// do not.
bool opaque_page(const KernelGroup& group) {
  return group.planes == 1 && group.item_bytes == 1 && group.format != KvFormat::kNlXNbBsvBss;
}

}  // namespace

std::string canonical_text(const Geometry& geometry) {
  std::string text = "lmcache geometry 1\nchunk " + std::to_string(geometry.chunk_tokens) + '\n';
  const auto field = [&text](std::string_view name, std::uint64_t value) {
    text += ' ';
    text += name;
    text += ' ';
    text += std::to_string(value);
  };
  for (const ObjectGroup& object : geometry.object_groups) {
    text += "object";
    field("bytes", object.bytes);
    text += " chunks " + std::to_string(object.window_chunks);
    field("private", object.auxiliary ? 1 : 0);
    text += '\n';
    for (const std::uint32_t index : object.kernel_groups) {
      const KernelGroup& group = geometry.kernel_groups[index];
      text += "  group";
      field("engine", static_cast<std::uint64_t>(group.engine_group_id));
      field("at", group.object_offset);
      text += " family ";
      text += byte_family(group.format);
      text += " dtype " + group.dtype;
      field("planes", group.planes);
      field("layers", group.layers);
      field("heads", group.heads);
      field("size", group.head_size);
      field("tokens_per_row", group.tokens_per_block / group.slots_per_block);
      field("rows", std::uint64_t{group.kept_ids} * group.slots_per_block);
      text += " window " + std::to_string(group.window_tokens);
      field("recurrent", group.recurrent_state ? 1 : 0);
      field("tag", static_cast<std::uint64_t>(group.extra_object_group_tag));
      if (opaque_page(group)) field("page_rows", group.slots_per_block);
      text += " of";
      for (const std::uint32_t layer : group.layer_indices) text += ' ' + std::to_string(layer);
      text += '\n';
    }
  }
  return text;
}

Fingerprint fingerprint_of(const Geometry& geometry) {
  const std::string text = canonical_text(geometry);
  blake3_hasher hasher;
  blake3_hasher_init(&hasher);
  blake3_hasher_update(&hasher, text.data(), text.size());
  Fingerprint fingerprint;
  blake3_hasher_finalize(&hasher, reinterpret_cast<std::uint8_t*>(fingerprint.data()),
                         fingerprint.size());
  return fingerprint;
}

}  // namespace lmcache::geometry
