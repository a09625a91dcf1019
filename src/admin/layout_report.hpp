// A worker's KV layout as /status tells it, under the reference's names.
#pragma once

#include "admin/http.hpp"

#include <lmcache/geometry.hpp>

#include <string_view>

namespace lmcache::admin {

/// How the reference names and describes a format.
struct FormatText {
  KvFormat format;
  std::string_view name;     ///< "NL_X_NB_BS_HS"
  std::string_view shape;    ///< "NL x [NB, BS, HS]"
  std::string_view backend;  ///< "vLLM MLA / SGLang MLA (MP)"
  bool is_mla;
};
[[nodiscard]] const FormatText& text_of(KvFormat format) noexcept;

/// `shape` of the group's format with the group's numbers: "80 x [2, 2048, 128, 8, 128]".
[[nodiscard]] std::string concrete_shape(const KernelGroup& group);

[[nodiscard]] Json layout_report(const Geometry& geometry);

}  // namespace lmcache::admin
