// Words for error messages: what was registered, in a form that fits one log line.
#pragma once

#include <lmcache/geometry.hpp>

#include <span>
#include <string>
#include <string_view>

namespace lmcache::geometry {

[[nodiscard]] Error bad_geometry(std::string text);

/// `text` as it may be logged: printable ASCII only, at most 64 characters.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// "tensor 3 (bfloat16 [9,2,16,2,8] strides [512,256,16,8,1] offset 0)"
[[nodiscard]] std::string describe(std::size_t index, const TensorDesc& tensor);

/// "0-3,7": ascending neighbours are folded.
[[nodiscard]] std::string fold(std::span<const std::int64_t> indices);

[[nodiscard]] std::string_view to_string(EngineType engine) noexcept;

}  // namespace lmcache::geometry
