#include "cache/gittins.hpp"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

namespace lmcache::cache {
namespace {

constexpr std::uint32_t kLearning = 4096;    ///< uses between two looks at what was learnt
constexpr std::uint64_t kRememberPools = 4;  ///< bytes of evicted names, in pools

std::size_t size_of(std::uint64_t bytes) noexcept {
  return static_cast<std::size_t>(std::bit_width(bytes));
}

std::size_t cell_of(std::size_t cls, std::size_t bin) noexcept {
  return bin * ReuseAges::kClasses + cls;
}

}  // namespace

Gittins::Gittins() {
  learn();
}

// ------------------------------------------------------------------------------- time and learning

void Gittins::tick() {
  ++now_;
  if (slots_.is_due(now_)) advance();
  if (--uses_until_learning_ == 0) learn();
}

/// Whoever is known has got older.
void Gittins::advance() {
  for (std::size_t i = 0; i < slots_.size(); ++i)
    ages_.lived(slots_.bin(i), population_[slots_.row(i)], static_cast<double>(now_ - advanced_));
  advanced_ = now_;
  slots_.advance(now_, [this](AgeSlots::Row into, AgeSlots::Row from) { merge(into, from); });
  outdated_ = true;
}

void Gittins::merge(AgeSlots::Row into, AgeSlots::Row from) {
  for (std::size_t cls = 0; cls < kClasses; ++cls)
    population_[into][cls] += std::exchange(population_[from][cls], 0);
  for (const std::uint8_t size : used_sizes_) {
    OfSize& of_size = *sizes_[size];
    const std::uint16_t classes = std::exchange(of_size.classes[from], std::uint16_t{0});
    of_size.classes[into] |= classes;
    for (std::uint32_t left = classes; left != 0; left &= left - 1) {
      const auto cls = static_cast<std::size_t>(std::countr_zero(left));
      of_size.lists[into][cls].append(nodes_, of_size.lists[from][cls]);
    }
  }
}

void Gittins::learn() {
  uses_until_learning_ = kLearning;
  ages_.learn(kLearning);
  const auto index = [this](std::uint16_t cell) {
    return ages_.index(cell % kClasses, cell / kClasses);
  };
  std::iota(ranked_.begin(), ranked_.end(), std::uint16_t{0});
  // Of equals the oldest first, then those used least.
  std::ranges::sort(ranked_, [&](std::uint16_t a, std::uint16_t b) {
    if (index(a) != index(b)) return index(a) < index(b);
    if (a / kClasses != b / kClasses) return a > b;
    return a < b;
  });
  for (std::size_t i = 0; i < kCells; ++i) rank_[ranked_[i]] = static_cast<std::uint16_t>(i);
  outdated_ = true;
}

// ------------------------------------------------------------------------------------ what is
// known

std::uint8_t Gittins::class_of(const Use& use) noexcept {
  constexpr std::size_t kUses = kClasses / 2;
  const auto by_uses =
      std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(use.uses - 1)), kUses - 1);
  return static_cast<std::uint8_t>(by_uses + (use.shared ? kUses : 0));
}

std::uint32_t& Gittins::population(const Use& use) noexcept {
  return population_[slots_.row_of(use.at)][use.cls];
}

void Gittins::returns(const Use& use) {
  ages_.came_back(use.cls, slots_.bin(slots_.position(use.at)));
  --population(use);
}

void Gittins::forget(Node& node) {
  if (std::exchange(node.waits, false)) --population(node.use);
}

std::uint64_t Gittins::waiting() const noexcept {
  std::uint64_t all = 0;
  for (const auto& row : population_) all = std::accumulate(row.begin(), row.end(), all);
  return all;
}

void Gittins::see_successor(ChunkId id, std::uint64_t name) {
  Use& use = nodes_[id].use;
  const std::uint32_t tag = std::max(static_cast<std::uint32_t>(name), 1u);
  if (use.successor != 0 && use.successor != tag) use.shared = true;
  use.successor = tag;
}

void Gittins::admit(ChunkId id, const Identity& identity) {
  nodes_.grow_to(id + 1);
  Node& node = nodes_[id];
  forget(node);  // cleared
  node.name = identity.name;
  node.before = identity.before;
  node.use = {};
  node.use.uses = 1;
  if (node.before != kNoId) {
    see_successor(node.before, node.name);
    const Use& before = nodes_[node.before].use;
    if (!before.shared) node.use.uses = before.uses;
  }
  if (const auto ghost = ghosts_.take(node.name)) {
    node.use = ghost->more;
    returns(node.use);
    if (node.use.uses < UINT32_MAX) ++node.use.uses;
  }
  tick();
}

void Gittins::hit(ChunkId id) {
  Node& node = nodes_[id];
  if (std::exchange(node.waits, false)) returns(node.use);
  if (node.use.uses < UINT32_MAX) ++node.use.uses;
  tick();
}

/// It went without a turn or with one: it waits on under its name.
void Gittins::evicted(ChunkId id) {
  Node& node = nodes_[id];
  if (node.waits && ghosts_.add(node.name, node.bytes, node.use)) node.waits = false;
  forget(node);
  ghosts_.trim(kRememberPools * bytes_, [this](const auto& ghost) { --population(ghost.more); });
}

// ----------------------------------------------------------------------------------------- the
// order

List<Gittins::Node>& Gittins::list(const Node& node) {
  return sizes_[size_of(node.bytes)]->lists[slots_.row_of(node.use.at)][node.use.cls];
}

void Gittins::push(ChunkId id) {
  Node& node = nodes_[id];
  forget(node);
  if (node.use.shared && node.before != kNoId) nodes_[node.before].use.shared = true;
  node.use.at = now_;
  node.use.cls = class_of(node.use);
  node.waits = true;
  ++population(node.use);
  auto& of_size = sizes_[size_of(node.bytes)];
  if (!of_size) {
    of_size = std::make_unique<OfSize>();
    used_sizes_.push_back(static_cast<std::uint8_t>(size_of(node.bytes)));
  }
  list(node).push_newest(nodes_, id);
  of_size->classes[slots_.row(slots_.newest())] |= static_cast<std::uint16_t>(1u << node.use.cls);
  const std::size_t rank = rank_[cell_of(node.use.cls, 0)];
  of_size->cells[rank / 64] |= std::uint64_t{1} << (rank % 64);
}

void Gittins::insert(ChunkId id, std::uint64_t bytes) {
  nodes_[id].bytes = bytes;
  bytes_ += bytes;
  push(id);
}

void Gittins::touch(ChunkId id) {
  list(nodes_[id]).erase(nodes_, id);
  push(id);
}

void Gittins::remove(ChunkId id) {
  list(nodes_[id]).erase(nodes_, id);
  bytes_ -= nodes_[id].bytes;
}

/// Slots have moved through the bins since, or ranks have changed.
void Gittins::refill(OfSize& of_size) {
  of_size.cells = {};
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const AgeSlots::Row row = slots_.row(i);
    for (std::uint32_t left = of_size.classes[row]; left != 0; left &= left - 1) {
      const auto cls = static_cast<std::size_t>(std::countr_zero(left));
      if (of_size.lists[row][cls].empty()) {
        of_size.classes[row] &= static_cast<std::uint16_t>(~(1u << cls));
        continue;
      }
      const std::size_t rank = rank_[cell_of(cls, slots_.bin(i))];
      of_size.cells[rank / 64] |= std::uint64_t{1} << (rank % 64);
    }
  }
}

ChunkId Gittins::oldest(OfSize& of_size, std::size_t cell) const noexcept {
  const AgeSlots::Range range = slots_.of_bin(cell / kClasses);
  for (std::size_t i = range.begin; i < range.end; ++i) {
    const List<Node>& list = of_size.lists[slots_.row(i)][cell % kClasses];
    if (!list.empty()) return list.oldest();
  }
  return kNoId;
}

Gittins::Candidate Gittins::first_of(OfSize& of_size) {
  for (std::size_t i = 0; i < of_size.cells.size(); ++i)
    for (; of_size.cells[i] != 0; of_size.cells[i] &= of_size.cells[i] - 1) {
      const std::size_t cell =
          ranked_[i * 64 + static_cast<std::size_t>(std::countr_zero(of_size.cells[i]))];
      const ChunkId id = oldest(of_size, cell);
      if (id == kNoId) continue;  // its last one has gone since
      const double bytes = static_cast<double>(std::max(nodes_[id].bytes, std::uint64_t{1}));
      return {id, ages_.index(cell % kClasses, cell / kClasses) / bytes};
    }
  return {};
}

std::optional<ChunkId> Gittins::victim(TenantId /*tenant*/) {
  Candidate least;
  for (const std::uint8_t size : used_sizes_) {
    if (outdated_) refill(*sizes_[size]);
    const Candidate first = first_of(*sizes_[size]);
    if (first.id == kNoId) continue;
    const bool as_old = least.id != kNoId && first.worth == least.worth &&
                        nodes_[first.id].use.at < nodes_[least.id].use.at;
    if (least.id == kNoId || first.worth < least.worth || as_old) least = first;
  }
  outdated_ = false;
  return id_or_nothing(least.id);
}

}  // namespace lmcache::cache
