#include "admin/checksums.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <stdexcept>

namespace lmcache::admin {
namespace {

using Buffer = std::vector<std::byte>;

class Md5 {
 public:
  Md5() : context_(EVP_MD_CTX_new()) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_md5(), nullptr) != 1)
      throw std::runtime_error("MD5 is not available; the OpenSSL of this machine forbids it");
  }
  void update(std::span<const std::byte> bytes) {
    EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());
  }
  [[nodiscard]] std::string hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    for (unsigned i = 0; i < size; ++i) {
      out += kDigits[digest[i] >> 4];
      out += kDigits[digest[i] & 15];
    }
    return out;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

/// The blocks of one tensor one behind the other, in the tensor's own order of axes.
bool gather(const TensorPages& tensor, std::byte* base, std::span<const std::int64_t> ids,
            const Reader& read, Buffer& out) {
  const std::uint64_t bytes = tensor.page_bytes();
  out.resize(bytes * ids.size() * tensor.offsets.size());
  std::vector<copy::Run> runs;
  for (std::size_t o = 0; o < tensor.offsets.size(); ++o) {
    for (std::size_t b = 0; b < ids.size(); ++b) {
      const std::size_t place =
          tensor.planes_outside ? o * ids.size() + b : b * tensor.offsets.size() + o;
      std::byte* page = base + tensor.offsets[o] +
                        static_cast<std::uint64_t>(ids[b]) * tensor.group->block_stride_bytes;
      runs.push_back({page, out.data() + place * bytes, nullptr, bytes});
    }
  }
  return read(std::move(runs));
}

/// A bfloat16 is the upper half of a float32.
void widen(Buffer& bytes) {
  Buffer out(bytes.size() * 2);
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    out[2 * i + 2] = bytes[i];
    out[2 * i + 3] = bytes[i + 1];
  }
  bytes.swap(out);
}

bool planes_outside(KvFormat format) noexcept {
  return format == KvFormat::kNlXTwoNbBsNhHs || format == KvFormat::kNlXTwoNbNhBsHs;
}

}  // namespace

std::vector<TensorPages> tensor_pages(const Geometry& geometry) {
  std::map<std::uint32_t, TensorPages> by_tensor;
  for (const KernelGroup& group : geometry.kernel_groups) {
    for (const PlaneOrigin& origin : group.origins) {
      TensorPages& pages = by_tensor[origin.tensor];
      pages.tensor = origin.tensor;
      pages.group = &group;
      pages.planes_outside = planes_outside(group.format);
      pages.offsets.push_back(origin.offset);
    }
  }
  std::vector<TensorPages> out;
  for (auto& [tensor, pages] : by_tensor) {
    std::ranges::sort(pages.offsets);
    out.push_back(std::move(pages));
  }
  return out;
}

std::optional<Json> block_checksums(std::span<const TensorPages> tensors,
                                    std::span<std::byte* const> bases,
                                    std::span<const std::int64_t> ids, std::size_t blocks_per_chunk,
                                    bool layerwise, const Reader& read) {
  Json whole = Json::array(), by_layer = Json::object();
  Buffer buffer;
  for (std::size_t first = 0; first < ids.size();) {
    const auto chunk = ids.subspan(first, std::min(blocks_per_chunk, ids.size() - first));
    first += chunk.size();
    Md5 all;
    for (const TensorPages& tensor : tensors) {
      if (!gather(tensor, bases[tensor.tensor], chunk, read, buffer)) return std::nullopt;
      if (tensor.group->dtype == "bfloat16") widen(buffer);
      if (!layerwise) {
        all.update(buffer);
        continue;
      }
      Md5 one;
      one.update(buffer);
      by_layer["layer_" + std::to_string(tensor.tensor)].push_back(one.hex());
    }
    if (!layerwise) whole.push_back(all.hex());
  }
  return layerwise ? by_layer : whole;
}

Json compressed(std::span<const std::int64_t> ids) {
  Json out = Json::array();
  for (std::size_t first = 0; first < ids.size();) {
    std::size_t last = first;
    while (last + 1 < ids.size() && ids[last + 1] == ids[last] + 1) ++last;
    if (last - first >= 2) {
      out.push_back({ids[first], ids[last]});
    } else {
      for (std::size_t i = first; i <= last; ++i) out.push_back(ids[i]);
    }
    first = last + 1;
  }
  return out;
}

}  // namespace lmcache::admin
