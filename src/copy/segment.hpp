// A client's shared memory, mapped once however many tensors or instances name it, unmapped with
// its last user.
#pragma once

#include <lmcache/status.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lmcache::copy {

class Segment {
 public:
  virtual ~Segment() = default;
  [[nodiscard]] virtual std::byte* base() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t bytes()
      const noexcept = 0;  ///< as fstat gave them when mapped
};
using SegmentPtr = std::shared_ptr<Segment>;

/// Opens segments by name below /dev/shm. Thread-safe.
class SegmentTable {
 public:
  SegmentTable();
  ~SegmentTable();
  /// `name` may have one leading '/', nothing else that leaves the folder; must be a regular file
  /// (no symlink is followed); the size is the file's own, and `min_bytes` must fit. Same
  /// device+inode, still mapped: the same Segment. kBadSegment otherwise.
  [[nodiscard]] Result<SegmentPtr> open(std::string_view name, std::uint64_t min_bytes);
  [[nodiscard]] std::size_t mapped() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace lmcache::copy
