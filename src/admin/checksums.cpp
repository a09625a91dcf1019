#include "admin/checksums.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

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
    std::array<std::byte, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), &size);
    return hex_text(std::span(digest).first(size));
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

/// A bfloat16 is the upper half of a float32.
Buffer widened(std::span<const std::byte> bytes) {
  Buffer out(bytes.size() * 2);
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    out[2 * i + 2] = bytes[i];
    out[2 * i + 3] = bytes[i + 1];
  }
  return out;
}

/// Digests one after the other, whose pages are read a part at a time: every read waits for its
/// turn among the copies of engines, and small ones would wait more often than they read.
class Digester {
 public:
  explicit Digester(const Reader& read) : read_(read) {}

  /// What is added from now on goes into a new digest, which is put behind `out` when all of it is
  /// read.
  void begin(Json& out) { open_.push_back({.md5 = {}, .out = &out}); }

  [[nodiscard]] Status add(std::byte* page, std::uint64_t bytes, bool widen) {
    while (bytes > 0) {
      const std::uint64_t now = std::min(bytes, room());
      runs_.push_back({page, part_->data() + filled_, nullptr, now});
      filled_ += now;
      page += now;
      bytes -= now;
      if (stretches_.empty() || stretches_.back().digest != open_.size() - 1 ||
          stretches_.back().widen != widen)
        stretches_.push_back({open_.size() - 1, 0, widen});
      stretches_.back().bytes += now;
      if (room() > 0 && runs_.size() < kPartRuns) continue;
      if (Status done = read_part(); !done) return done;
    }
    return {};
  }

  [[nodiscard]] Status finish() {
    if (Status done = read_part(); !done) return done;
    close(open_.size());
    return {};
  }

 private:
  struct Open {
    Md5 md5;
    Json* out;
  };
  /// Bytes of a part that go into one digest in one way.
  struct Stretch {
    std::size_t digest;
    std::uint64_t bytes;
    bool widen;
  };
  static constexpr std::uint64_t kPartBytes = kChecksumPartBytes;
  static constexpr std::size_t kPartRuns = 1u << 16;

  /// In whole bfloat16.
  [[nodiscard]] std::uint64_t room() const noexcept { return (kPartBytes - filled_) / 2 * 2; }

  Status read_part() {
    if (!runs_.empty()) {
      if (Status done = read_(std::exchange(runs_, {}), part_); !done) return done;
    }
    std::span<const std::byte> rest(*part_);
    for (const Stretch& stretch : stretches_) {
      const auto bytes = rest.first(stretch.bytes);
      rest = rest.subspan(stretch.bytes);
      Md5& md5 = open_[stretch.digest].md5;
      if (stretch.widen) {
        md5.update(widened(bytes));
      } else {
        md5.update(bytes);
      }
    }
    stretches_.clear();
    filled_ = 0;
    if (!open_.empty()) close(open_.size() - 1);  // the last may go on
    return {};
  }
  void close(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) open_[i].out->push_back(open_[i].md5.hex());
    open_.erase(open_.begin(), open_.begin() + static_cast<std::ptrdiff_t>(count));
  }

  const Reader& read_;
  const std::shared_ptr<Buffer> part_ = std::make_shared<Buffer>(kPartBytes);
  std::uint64_t filled_ = 0;
  std::vector<copy::Run> runs_;
  std::vector<Stretch> stretches_;
  std::vector<Open> open_;
};

/// Its blocks one behind the other, in the tensor's own order of axes.
Status add_tensor(Digester& digester, const TensorPages& tensor, std::byte* base,
                  std::span<const std::int64_t> ids) {
  const bool widen = tensor.group->dtype == "bfloat16";
  const std::size_t planes = tensor.offsets.size();
  for (std::size_t i = 0; i < ids.size() * planes; ++i) {
    const std::size_t plane = tensor.planes_outside ? i / ids.size() : i % planes;
    const std::size_t block = tensor.planes_outside ? i % ids.size() : i / planes;
    std::byte* page = base + tensor.offsets[plane] +
                      static_cast<std::uint64_t>(ids[block]) * tensor.group->block_stride_bytes;
    if (Status done = digester.add(page, tensor.page_bytes(), widen); !done) return done;
  }
  return {};
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

Result<Json> block_checksums(std::span<const TensorPages> tensors,
                             std::span<std::byte* const> bases, std::span<const std::int64_t> ids,
                             std::size_t blocks_per_chunk, bool layerwise, const Reader& read) {
  std::vector<Json> lists(layerwise ? tensors.size() : 1, Json::array());
  Digester digester(read);
  for (std::size_t first = 0; first < ids.size();) {
    const auto chunk = ids.subspan(first, std::min(blocks_per_chunk, ids.size() - first));
    first += chunk.size();
    if (!layerwise) digester.begin(lists[0]);
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      if (layerwise) digester.begin(lists[i]);
      const Status done = add_tensor(digester, tensors[i], bases[tensors[i].tensor], chunk);
      if (!done) return done.error();
    }
  }
  if (const Status done = digester.finish(); !done) return done.error();
  // In place: a Json turns into anything, an Error as well.
  constexpr auto kInPlace = boost::system::in_place_value;
  if (!layerwise) return Result<Json>(kInPlace, std::move(lists[0]));
  Json by_layer = Json::object();
  for (std::size_t i = 0; i < tensors.size(); ++i)
    by_layer["layer_" + std::to_string(tensors[i].tensor)] = std::move(lists[i]);
  return Result<Json>(kInPlace, std::move(by_layer));
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
