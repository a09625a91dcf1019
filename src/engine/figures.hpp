// What costs a lock to know, as housekeeping last saw it.
#pragma once

#include "copy/cpu_copier.hpp"
#include "gpu/transfer.hpp"

#include <lmcache/cache.hpp>

#include <cstdint>
#include <vector>

namespace lmcache::engine {

/// At most a second old. Trivially copyable: it is published through a Seqlock.
struct Figures {
  CacheStats cache;
  copy::CpuCopier::Stats copies;
  std::uint64_t workers = 0;                  ///< registered
  std::uint64_t sessions = 0;                 ///< lookups whose request has not ended
  std::uint64_t leases = 0;                   ///< of those, that still keep chunks from eviction
  std::uint64_t chains = 0, chain_bytes = 0;  ///< token sequences whose hashes are kept
};

/// Likewise, what comes in varying numbers.
struct Listings {
  std::vector<gpu::DeviceStatus> gpus;
  std::vector<TenantUsage> limited_tenants;
};

}  // namespace lmcache::engine
