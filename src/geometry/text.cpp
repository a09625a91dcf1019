#include "geometry/text.hpp"

#include <algorithm>
#include <utility>

namespace lmcache::geometry {
namespace {

constexpr std::size_t kMaxQuoted = 64;
constexpr std::size_t kMaxAxesShown = 10;
constexpr std::size_t kMaxFolded = 400;

std::string axes(std::span<const std::int64_t> values) {
  std::string text = "[";
  for (std::size_t i = 0; i < std::min(values.size(), kMaxAxesShown); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(values[i]);
  }
  if (values.size() > kMaxAxesShown) text += ",...";
  return text + ']';
}

}  // namespace

Error bad_geometry(std::string text) {
  return Error{Cause::kBadGeometry, std::move(text)};
}

std::string in_quotes(std::string_view text) {
  std::string safe;
  for (const char c : text.substr(0, kMaxQuoted)) safe += (c >= ' ' && c <= '~') ? c : '?';
  if (text.size() > kMaxQuoted) safe += "...";
  return safe;
}

std::string describe(std::size_t index, const TensorDesc& tensor) {
  return "tensor " + std::to_string(index) + " (" + in_quotes(tensor.dtype) + ' ' +
         axes(tensor.shape) + " strides " + axes(tensor.stride) + " offset " +
         std::to_string(tensor.storage_offset) + ')';
}

std::string fold(std::span<const std::int64_t> indices) {
  std::string text;
  for (std::size_t i = 0; i < indices.size();) {
    std::size_t last = i;
    while (last + 1 < indices.size() && indices[last] < INT64_MAX &&
           indices[last + 1] == indices[last] + 1) {
      ++last;
    }
    if (!text.empty()) text += ',';
    text += std::to_string(indices[i]);
    if (last > i) text += '-' + std::to_string(indices[last]);
    i = last + 1;
    if (text.size() > kMaxFolded && i < indices.size()) return text + ",...";
  }
  return text;
}

std::string_view to_string(EngineType engine) noexcept {
  switch (engine) {
    case EngineType::kVllm:
      return "vllm";
    case EngineType::kAtom:
      return "atom";
    case EngineType::kSglang:
      return "sglang";
    case EngineType::kTrtllm:
      return "trtllm";
    case EngineType::kMock:
      return "mock";
  }
  return "unknown";
}

}  // namespace lmcache::geometry
