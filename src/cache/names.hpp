// Keyspaces and layouts by small number, for as long as somebody holds a reference: a chunk, a
// shard, or an open ticket. A name nobody stores under is never remembered, whatever is asked about
// it. Ordered maps: no input can make them slow. Not thread-safe: under the cache's mutex.
#pragma once

#include <lmcache/cache.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "cache/chunk.hpp"
#include "cache/paged.hpp"
#include "cache/tenants.hpp"

namespace lmcache::cache {

class Keyspaces {
 public:
  explicit Keyspaces(bool isolated = false) : tenants_(isolated) {}
  [[nodiscard]] KeyspaceId find(const Keyspace& keyspace) const;  ///< kNoId: nobody holds it
  [[nodiscard]] KeyspaceId acquire(const Keyspace& keyspace);     ///< adds a reference
  [[nodiscard]] const Keyspace& operator[](KeyspaceId id) const noexcept {
    return slots_[id]->first;
  }
  void add_reference(KeyspaceId id) noexcept { ++slots_[id]->second.references; }
  void release(KeyspaceId id);
  [[nodiscard]] std::size_t size() const noexcept { return by_name_.size(); }
  /// Whoever holds a keyspace holds its tenant.
  [[nodiscard]] TenantId tenant(KeyspaceId id) const noexcept { return slots_[id]->second.tenant; }
  [[nodiscard]] Tenants& tenants() noexcept { return tenants_; }
  [[nodiscard]] const Tenants& tenants() const noexcept { return tenants_; }

 private:
  struct Less {
    bool operator()(const Keyspace& a, const Keyspace& b) const noexcept;
  };
  struct Use {
    KeyspaceId id = kNoId;
    TenantId tenant = kNoId;
    std::uint64_t references = 0;
  };
  using Map = std::map<Keyspace, Use, Less>;
  Map by_name_;
  std::vector<Map::value_type*> slots_;  ///< map nodes do not move
  IdPool ids_;
  Tenants tenants_;
};

/// What the cache derives from a layout once, and the place of every object of that layout.
struct LayoutSlot {
  LayoutPtr layout;
  std::uint64_t references = 0;
  std::vector<std::uint64_t> rounded;  ///< pool bytes per object, by group
  std::uint64_t windowed = 0;          ///< mask of groups with a window
  std::uint32_t span = 0;              ///< chunks of the longest window

  /// Offsets of one shard, by group.
  [[nodiscard]] std::span<std::uint64_t> offsets(std::uint32_t id) noexcept;
  [[nodiscard]] std::uint32_t take_offsets();
  void give_back_offsets(std::uint32_t id) { offset_ids_.give_back(id); }

 private:
  static constexpr std::uint32_t kShardsPerPage = 256;
  std::vector<std::unique_ptr<std::uint64_t[]>> offset_pages_;
  IdPool offset_ids_;
};

class Layouts {
 public:
  [[nodiscard]] LayoutId find(
      const ObjectLayout& layout) const;  ///< by fingerprint; kNoId: nobody holds it
  [[nodiscard]] LayoutId acquire(
      const LayoutPtr& layout);  ///< adds a reference; a new slot has rounded empty
  void add_reference(LayoutId id) noexcept { ++slots_[id]->references; }
  void release(LayoutId id);
  [[nodiscard]] LayoutSlot& operator[](LayoutId id) noexcept { return *slots_[id]; }
  [[nodiscard]] const LayoutSlot& operator[](LayoutId id) const noexcept { return *slots_[id]; }
  [[nodiscard]] std::size_t size() const noexcept { return by_fingerprint_.size(); }

 private:
  std::map<std::array<std::byte, 32>, LayoutId> by_fingerprint_;
  std::vector<std::unique_ptr<LayoutSlot>> slots_;
  IdPool ids_;
};

/// Equal in everything that places or selects objects.
[[nodiscard]] bool same_groups(const ObjectLayout& a, const ObjectLayout& b) noexcept;

}  // namespace lmcache::cache
