// Object sizes of four models in chunks of 256 tokens, as their engines register them (LAYOUTS.md
// has the arithmetic).
#pragma once

#include <lmcache/cache.hpp>
#include <lmcache/status.hpp>

#include <string_view>

namespace lmcache::sim {

inline constexpr std::uint32_t kModelChunkTokens = 256;

/// dense: 32 layers, 8 KV heads of 128, bf16. deepseek-v3.2: fp8 latents and indexer keys.
/// deepseek-v4-flash: the same plus windowed state, 94 % of it. hybrid: half of 24 layers have a
/// window of 128 tokens.
[[nodiscard]] std::string_view model_layout_names() noexcept;
/// kMalformed with the legal names.
[[nodiscard]] Result<LayoutPtr> model_layout(std::string_view name);

/// The same bytes in one object group that every hit needs whole: what a server that does not tell
/// windows apart stores.
[[nodiscard]] LayoutPtr as_one_group(const ObjectLayout& layout);

}  // namespace lmcache::sim
