// Streams and staging buffers of an engine: a way for each direction of the link, so that stores
// and retrieves run at the same time. A lane's slots are twice as large while the berth beside its
// own is free (staging.hpp). Engines share lanes where a GPU has more of them than the staging
// memory allows lanes; even then an engine whose event never comes holds up itself alone.
//
// Threads: the GPU's own.
#pragma once

#include "gpu/staging.hpp"
#include "gpu/way.hpp"

#include <utility>

namespace lmcache::gpu {

class Lane {
 public:
  Lane(LaneContext& context, Berth berth)
      : berth_(std::move(berth)),
        store_(copy::Direction::kStore, context, berth_),
        retrieve_(copy::Direction::kRetrieve, context, berth_) {}
  /// `before`: the lane whose slots these were until now. kNoMemory.
  [[nodiscard]] Status open(const Lane* before) {
    Status opened = store_.open(before != nullptr ? &before->store_ : nullptr);
    return opened ? retrieve_.open(before != nullptr ? &before->retrieve_ : nullptr) : opened;
  }
  unsigned users = 0;  ///< registrations
  [[nodiscard]] const Berth& berth() const noexcept { return berth_; }
  [[nodiscard]] Way& way(copy::Direction direction) noexcept {
    return direction == copy::Direction::kStore ? store_ : retrieve_;
  }
  [[nodiscard]] bool gated() const noexcept { return store_.gated() || retrieve_.gated(); }
  template <class Visit>  // (Way&)
  void each_way(Visit visit) {
    visit(store_);
    visit(retrieve_);
  }

 private:
  Berth berth_;  // goes after the ways, which use it
  Way store_, retrieve_;
};

}  // namespace lmcache::gpu
