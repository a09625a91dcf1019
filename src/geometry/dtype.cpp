#include <lmcache/geometry.hpp>

#include <utility>

namespace lmcache {

std::uint32_t dtype_bytes(std::string_view dtype) noexcept {
  static constexpr std::pair<std::string_view, std::uint32_t> kSizes[] = {
      {"bool", 1},
      {"uint8", 1},
      {"int8", 1},
      {"float8_e4m3fn", 1},
      {"float8_e4m3fnuz", 1},
      {"float8_e5m2", 1},
      {"float8_e5m2fnuz", 1},
      {"float8_e8m0fnu", 1},
      {"float4_e2m1fn_x2", 1},
      {"uint16", 2},
      {"int16", 2},
      {"float16", 2},
      {"half", 2},
      {"bfloat16", 2},
      {"uint32", 4},
      {"int32", 4},
      {"float32", 4},
      {"float", 4},
      {"uint64", 8},
      {"int64", 8},
      {"float64", 8},
      {"double", 8},
      {"complex64", 8},
      {"complex128", 16},
  };
  for (const auto& [name, bytes] : kSizes) {
    if (name == dtype) return bytes;
  }
  return 0;
}

}  // namespace lmcache
