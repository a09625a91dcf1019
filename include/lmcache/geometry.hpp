// From an engine's registered KV tensors to the bytes of one memory object.
//
//   tensors --detect--> kernel groups --by window--> object groups --fixed layout--> object bytes
//
// Vocabulary (docs/LAYOUTS.md): a *block* is one entry of an engine group's paged block table; a
// *chunk* is chunk_tokens tokens, the unit of hashing and hitting; a *kernel group* (KG) is the set
// of tensors one copy moves; an *object group* (OG) is the set of kernel groups stored together in
// one *object* per chunk and rank. Everything here is pure data without pointers: a Geometry says
// where bytes are relative to each tensor's segment base (the first byte of the memory the tensor's
// descriptor names). Immutable after build_geometry; shared freely between threads.
#pragma once

#include <lmcache/status.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lmcache {

/// Of one registration.
inline constexpr std::size_t kMaxTensors = 8192;

/// Numbers are those of the client's EngineKVFormat; names spell the per-layer tensor's axes.
/// NB blocks, NL layers, BS rows of a block, NH heads, HS head size, CS packed K+V, NBBS = NB*BS.
enum class KvFormat : std::uint8_t {
  kNbNlTwoBsNhHs = 0,
  kNlXTwoNbBsNhHs = 1,
  kNlXNbTwoBsNhHs = 2,
  kNlXNbBsHs = 3,
  kTwoXNlXNbbsNhHs = 4,
  kNlXNbbsOneHs = 5,
  kNlXTwoNbNhBsHs = 6,
  kNlXNbTwoNhBsHs = 7,
  kNbNlTwoNhBsHs = 8,
  kTwoXNlXNbBsNhHs = 9,
  kNlXNbNhBsCs = 12,
  kNlXNbBsNhCs = 13,
  kNlXNbBsvBss =
      14,  ///< DSA indexer page: values block, then scales block; objects are token-major
  kNlXNbBsNhHs = 18,
};

enum class EngineType : std::uint8_t { kVllm, kAtom, kSglang, kTrtllm, kMock };

/// One registered tensor as its descriptor states it. Nothing is trusted yet.
struct TensorDesc {
  std::string dtype;  ///< torch name without prefix: "bfloat16", "uint8", "float8_e4m3fn"
  std::vector<std::int64_t> shape;   ///< elements per axis
  std::vector<std::int64_t> stride;  ///< elements, same rank as shape
  std::int64_t storage_offset = 0;   ///< elements from the segment base
  std::uint64_t segment_bytes =
      0;  ///< bytes of the memory behind it, as measured by us; the limit of the view
};

/// One record per kernel group, in kernel group order, as the client computed them.
struct GroupInfo {
  std::int64_t engine_group_id = 0;
  std::vector<std::int64_t> layer_indices;  ///< indices into the registered tensor list
  std::int64_t tokens_per_block = 0;        ///< 0: not reported, use the tensor's rows per block
  std::int64_t sw_size_tokens = -1;         ///< -1: no sliding window
  std::int64_t extra_object_group_tag =
      0;  ///< > 0: auxiliary group, never served by the plain retrieve
  bool recurrent_state = false;
};

struct LayoutHints {
  std::optional<std::string> kv_layout;  ///< NHD HND BLHNC BLNHC
  std::optional<std::int64_t> num_kv_heads;
  std::optional<std::int64_t> tokens_per_block;
  std::optional<std::string> kv_list_layout;  ///< k_v unified
  std::optional<std::int64_t> head_dim;
};

struct GeometryOptions {
  std::uint32_t chunk_tokens = 256;
  bool separate_object_groups =
      true;  ///< one object group per window; false: a single one, window ignored for hits
  bool cpu_tensors = true;  ///< without a kv_layout hint the client means HND on CPU, NHD on a GPU
};

/// How one block's page maps onto rows of the object, as at most two nested strided loops:
///   for i in n0, for j in n1: object[obj + i*obj0 + j*obj1 .. +run) <-> page[page + i*page0 +
///   j*page1 .. +run)
/// All in bytes. A token-major page is one run (n0 = n1 = 1); HND needs heads x rows; format 14
/// needs two parts.
struct PagePart {
  std::uint64_t page = 0, object = 0;
  std::uint32_t n0 = 1, n1 = 1;
  std::uint64_t page0 = 0, page1 = 0, object0 = 0, object1 = 0;
  std::uint64_t run = 0;
};

/// Where one (plane, layer) of a kernel group starts: block 0's page is at segment base of `tensor`
/// + `offset`.
struct PlaneOrigin {
  std::uint32_t tensor = 0;
  std::uint64_t offset = 0;  ///< bytes
};

struct KernelGroup {
  KvFormat format{};
  std::string dtype;
  std::uint32_t item_bytes = 0;
  std::int64_t engine_group_id = 0;
  std::vector<std::uint32_t> layer_indices;
  std::uint32_t planes = 1;  ///< kv_size: 2 where K and V are separate planes
  std::uint32_t layers = 0;  ///< layers in this group (for format 0/8: NL of the one tensor)
  std::uint32_t heads = 1;
  std::uint32_t head_size = 0;         ///< elements; for 12/13 the packed K+V width C
  std::uint32_t tokens_per_block = 0;  ///< logical tokens of one block id
  std::uint32_t slots_per_block = 0;   ///< physical rows of one block (BS)
  std::int64_t window_tokens = -1;
  std::int64_t extra_object_group_tag = 0;
  bool recurrent_state = false;
  std::uint32_t object_group = 0;

  std::uint64_t num_blocks = 0;  ///< valid block ids are 0..num_blocks-1
  std::uint64_t block_stride_bytes =
      0;                             ///< distance of two blocks' pages, the same for every layer
  std::vector<PlaneOrigin> origins;  ///< [planes][layers], plane-major
  std::vector<PagePart> parts;       ///< one page -> the block's slots_per_block rows of the object

  std::uint32_t row_bytes = 0;      ///< one object row: heads * head_size * item_bytes
  std::uint32_t ids_per_chunk = 0;  ///< B: block ids of one chunk as requests list them
  std::uint32_t kept_ids =
      0;  ///< W <= B: trailing ids of a chunk that are copied (sub-chunk window)
  std::uint64_t object_offset = 0;  ///< first byte of this group's region inside its object
  std::uint64_t region_bytes = 0;   ///< planes * layers * kept_ids * slots_per_block * row_bytes
};

struct ObjectGroup {
  std::vector<std::uint32_t> kernel_groups;  ///< ascending
  std::uint64_t bytes = 0;                   ///< logical object size (unaligned)
  std::int32_t window_chunks = -1;           ///< trailing chunks a hit needs; -1: the whole prefix
  bool auxiliary = false;                    ///< extra tag > 0
};

/// BLAKE3 of everything that gives object bytes their meaning. Equal fingerprints <=> objects may
/// be exchanged.
using Fingerprint = std::array<std::byte, 32>;

struct Geometry {
  std::uint32_t chunk_tokens = 0;
  std::vector<KernelGroup> kernel_groups;
  std::vector<ObjectGroup> object_groups;
  Fingerprint fingerprint{};
  std::size_t num_tensors = 0;
};

/// Detects formats, groups tensors, compares with the client's infos and lays the objects out.
/// Errors are kBadGeometry naming what was found and what was expected (both group lists on a
/// mismatch). Every stride, offset and product is checked: on success each page of each block of
/// each layer lies inside its segment.
[[nodiscard]] Result<Geometry> build_geometry(std::span<const TensorDesc> tensors,
                                              EngineType engine, const LayoutHints& hints,
                                              std::span<const GroupInfo> infos,
                                              const GeometryOptions& options);

/// Bytes per element of a torch dtype name, or 0 if unknown.
[[nodiscard]] std::uint32_t dtype_bytes(std::string_view dtype) noexcept;

}  // namespace lmcache
