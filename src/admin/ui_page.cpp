#include "admin/ui_page.hpp"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>

namespace lmcache::embedded {
// Written at build time, see cmake/Embed.cmake.
extern const std::string_view kUiMarkup, kUiStyle, kUiScript;
}  // namespace lmcache::embedded

namespace lmcache::admin {
namespace {

/// 'sha256-...', as a content security policy names a text.
std::string hash_source(std::string_view text) {
  std::array<unsigned char, 32> digest{};
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1)
    throw std::runtime_error("OpenSSL cannot compute SHA-256");
  std::array<unsigned char, 45> base64{};  // of 32 bytes, and a NUL
  EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(digest.size()));
  return std::string("'sha256-") + reinterpret_cast<const char*>(base64.data()) + "'";
}

void fill(std::string& html, std::string_view element, std::string_view text) {
  html.insert(html.find(element) + element.size(), text);
}

}  // namespace

UiPage ui_page(std::string_view markup, std::string_view style, std::string_view script) {
  UiPage page{std::string(markup),
              "default-src 'none'; connect-src 'self'; img-src data:; style-src " +
                  hash_source(style) + "; script-src " + hash_source(script) +
                  "; require-trusted-types-for 'script'; base-uri 'none'; form-action 'none'; "
                  "frame-ancestors 'none'"};
  fill(page.html, "<style>", style);
  fill(page.html, "<script>", script);
  return page;
}

UiPage ui_page() {
  return ui_page(embedded::kUiMarkup, embedded::kUiStyle, embedded::kUiScript);
}

}  // namespace lmcache::admin
