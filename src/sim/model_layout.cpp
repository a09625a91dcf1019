#include "sim/model_layout.hpp"

#include <array>
#include <string>

namespace lmcache::sim {
namespace {

struct Model {
  std::string_view name;
  std::uint64_t full_bytes, window_bytes;  ///< per chunk; windows are of one chunk
};

constexpr std::array<Model, 4> kModels{{
    {"dense", 33'554'432, 0},
    {"deepseek-v3.2", 12'305'408, 0},
    {"deepseek-v4-flash", 985'664, 15'420'416},
    {"hybrid", 6'291'456, 3'145'728},
}};

}  // namespace

std::string_view model_layout_names() noexcept {
  return "dense, deepseek-v3.2, deepseek-v4-flash, hybrid";
}

Result<LayoutPtr> model_layout(std::string_view name) {
  for (std::size_t i = 0; i < kModels.size(); ++i) {
    if (kModels[i].name != name) continue;
    auto layout = std::make_shared<ObjectLayout>();
    layout->fingerprint[0] = static_cast<std::byte>(i + 1);
    layout->groups.push_back({kModels[i].full_bytes, -1, false});
    if (kModels[i].window_bytes > 0) layout->groups.push_back({kModels[i].window_bytes, 1, false});
    return LayoutPtr(std::move(layout));
  }
  return Error{Cause::kMalformed, "no model layout is called '" + std::string(name) +
                                      "'; there are " + std::string(model_layout_names())};
}

LayoutPtr as_one_group(const ObjectLayout& layout) {
  auto one = std::make_shared<ObjectLayout>();
  one->fingerprint = layout.fingerprint;
  one->fingerprint[1] = std::byte{1};
  one->groups.push_back({});
  for (const ObjectLayout::Group& group : layout.groups) one->groups[0].bytes += group.bytes;
  return one;
}

}  // namespace lmcache::sim
