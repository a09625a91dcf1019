// A bounded table of rows by labels. Rows are only ever added, so readers walk them without a lock;
// the mutex is for those who look a row up. What comes when the table is full shares rows: in these
// the labels that anybody can make more of (a salt, a worker's id) say "other", and when there are
// too many of these as well, all labels of one row do.
#pragma once

#include "obs/clean_text.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace lmcache::obs {

/// `kUnbounded`: the positions of the labels that say "other" first.
template <class Row, std::size_t kLabels, std::size_t kRowsMax, std::size_t... kUnbounded>
class LabelTable {
 public:
  using Labels = std::array<std::string, kLabels>;
  static constexpr std::size_t kLabelBytes = 128;
  static constexpr std::size_t kSharedRowsMax = 16;  ///< beside the one of "other" alone

  /// The row of these labels, for good. Any thread.
  [[nodiscard]] Row& row(const Labels& labels) {
    const std::lock_guard lock(mutex_);
    if (const auto found = by_labels_.find(labels); found != by_labels_.end())
      return found->second->row;
    if (by_labels_.size() < kRowsMax) return add(labels).row;
    if constexpr (sizeof...(kUnbounded) > 0) {
      Labels shared = labels;
      ((shared[kUnbounded] = "other"), ...);
      if (by_labels_.contains(shared) || by_labels_.size() < kRowsMax + kSharedRowsMax)
        return add(std::move(shared)).row;
    }
    Labels other;
    other.fill("other");
    return add(std::move(other)).row;
  }

  /// Calls visit(labels, row) for every row, in the order they were added. Any thread, no lock.
  template <class Visit>
  void for_each(Visit visit) const {
    const std::size_t size = size_.load(std::memory_order_acquire);
    for (std::size_t i = 0; i < size; ++i) visit(rows_[i]->labels, rows_[i]->row);
  }

 private:
  struct Entry {
    Labels labels;  ///< as shown: bounded and printable
    Row row;
  };

  /// Called with the lock. Under its own labels it is found again; shown are clean ones, and what
  /// looks the same when it is clean shares a row.
  Entry& add(Labels labels) {
    if (const auto found = by_labels_.find(labels); found != by_labels_.end())
      return *found->second;
    Labels shown;
    for (std::size_t i = 0; i < kLabels; ++i) shown[i] = clean_text(labels[i], kLabelBytes);
    const std::size_t size = size_.load(std::memory_order_relaxed);
    std::size_t at = 0;
    while (at < size && rows_[at]->labels != shown) ++at;
    if (at == size) {
      rows_[at] = std::make_unique<Entry>();
      rows_[at]->labels = std::move(shown);
      size_.store(size + 1, std::memory_order_release);
    }
    by_labels_.emplace(std::move(labels), rows_[at].get());
    return *rows_[at];
  }

  std::mutex mutex_;  // guards by_labels_ and the growth of rows_; innermost
  std::map<Labels, Entry*> by_labels_;
  std::array<std::unique_ptr<Entry>, kRowsMax + kSharedRowsMax + 1> rows_;
  std::atomic<std::size_t> size_{0};
};

}  // namespace lmcache::obs
