#include "copy/segment.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

namespace lmcache::copy {
namespace {

constexpr std::size_t kMaxName = 255;

using FileId = std::pair<dev_t, ino_t>;

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

/// The name as an error may print it.
std::string printable(std::string_view name) {
  std::string safe;
  for (const char c : name.substr(0, kMaxName)) safe += (c >= ' ' && c <= '~') ? c : '?';
  return safe;
}

Error bad_segment(std::string_view name, const std::string& text) {
  return {Cause::kBadSegment, "shared memory '" + printable(name) + "': " + text};
}

Error bad_segment(std::string_view name, const char* action, int error) {
  return bad_segment(name, std::string(action) + ": " + std::generic_category().message(error));
}

/// With what usually cures it.
Error not_opened(std::string_view name, int error) {
  Error out = bad_segment(name, "cannot be opened", error);
  if (error == EACCES) out.text += " (it is another user's: run server and engine as one user)";
  if (error == ENOENT)
    out.text += " (server and engine need one /dev/shm: in containers one IPC namespace)";
  return out;
}

/// The file's name without the leading '/', empty when the name could leave the folder.
std::string plain_name(std::string_view name) {
  if (name.starts_with('/')) name.remove_prefix(1);
  const bool plain = !name.empty() && name.size() <= kMaxName && name != "." && name != ".." &&
                     name.find('/') == std::string_view::npos &&
                     name.find('\0') == std::string_view::npos;
  return plain ? std::string(name) : std::string();
}

}  // namespace

// Mappings know the table, so that the last user of one removes its entry; the table itself keeps
// none alive.
struct SegmentTable::Impl {
  class Mapping;

  Impl() : folder(::open("/dev/shm", O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

  const Descriptor folder;
  std::mutex
      mutex;  ///< guards the rest; mmap is called under it so that one file is not mapped twice
  std::map<FileId, std::weak_ptr<Mapping>> known;
  std::size_t mapped = 0;
};

class SegmentTable::Impl::Mapping final : public Segment {
 public:
  Mapping(std::shared_ptr<Impl> table, FileId id, void* base, std::uint64_t bytes) noexcept
      : table_(std::move(table)), id_(id), base_(base), bytes_(bytes) {}

  ~Mapping() override {
    ::munmap(base_, bytes_);
    const std::lock_guard lock(table_->mutex);
    --table_->mapped;
    const auto entry = table_->known.find(id_);
    // A larger mapping of the same file may have taken the entry over.
    if (entry != table_->known.end() && entry->second.expired()) table_->known.erase(entry);
  }

  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  [[nodiscard]] std::byte* base() const noexcept override { return static_cast<std::byte*>(base_); }
  [[nodiscard]] std::uint64_t bytes() const noexcept override { return bytes_; }

 private:
  std::shared_ptr<Impl> table_;
  FileId id_;
  void* base_;
  std::uint64_t bytes_;
};

SegmentTable::SegmentTable() : impl_(std::make_shared<Impl>()) {}
SegmentTable::~SegmentTable() = default;

Result<SegmentPtr> SegmentTable::open(std::string_view name, std::uint64_t min_bytes) {
  const std::string file = plain_name(name);
  if (file.empty()) return bad_segment(name, "not a plain name of shared memory");
  // O_NONBLOCK: a FIFO of that name must not hold us up before fstat tells what it is.
  const Descriptor fd(::openat(impl_->folder.get(), file.c_str(),
                               O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) return not_opened(name, errno);
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return bad_segment(name, "fstat", errno);
  if (!S_ISREG(info.st_mode)) return bad_segment(name, "not a regular file");
  const auto bytes = static_cast<std::uint64_t>(info.st_size);
  if (bytes == 0 || bytes < min_bytes) {
    return bad_segment(name, "has " + std::to_string(bytes) + " bytes, needed are " +
                                 std::to_string(std::max<std::uint64_t>(min_bytes, 1)));
  }
  const FileId id{info.st_dev, info.st_ino};
  // Declared before the lock: if this is the last user by now, its destructor takes the lock
  // itself.
  std::shared_ptr<Impl::Mapping> known;
  const std::lock_guard lock(impl_->mutex);
  if (const auto entry = impl_->known.find(id); entry != impl_->known.end()) {
    known = entry->second.lock();
    // A file that was shrunk is not what was mapped; one that has grown is, as far as it is needed.
    if (known && known->bytes() <= bytes && known->bytes() >= min_bytes) return SegmentPtr(known);
  }
  void* base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (base == MAP_FAILED) return bad_segment(name, "mmap", errno);
  ++impl_->mapped;
  auto mapping = std::make_shared<Impl::Mapping>(impl_, id, base, bytes);
  impl_->known[id] = mapping;
  return SegmentPtr(std::move(mapping));
}

std::size_t SegmentTable::mapped() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->mapped;
}

}  // namespace lmcache::copy
