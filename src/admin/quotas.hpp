// Limits per cache_salt as the /quota routes need them. Implemented by whoever enforces them.
#pragma once

#include <lmcache/status.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lmcache::admin {

/// Any thread; called from the slow lane.
class Quotas {
 public:
  struct Row {
    std::string salt;
    std::uint64_t limit_bytes = 0;
    std::uint64_t used_bytes = 0;
  };
  virtual ~Quotas() = default;
  /// The error's text is for the caller.
  [[nodiscard]] virtual Status set(const std::string& salt, std::uint64_t limit_bytes) = 0;
  /// Nothing: the salt has no limit.
  [[nodiscard]] virtual std::optional<Row> get(const std::string& salt) const = 0;
  [[nodiscard]] virtual std::uint64_t used_bytes(const std::string& salt) const = 0;
  /// False: it had none.
  virtual bool remove(const std::string& salt) = 0;
  [[nodiscard]] virtual std::vector<Row> all() const = 0;
};

}  // namespace lmcache::admin
