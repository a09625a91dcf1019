// Every metric there is. docs/METRICS.md shows it to users; a test keeps the two equal.
#pragma once

#include "admin/exposition.hpp"

#include <span>
#include <string>

namespace lmcache::admin::catalog {

// In the order of the page.
extern const MetricInfo kL1Usage, kL1Ratio, kL1Total, kL1Staging, kL1LargestFree, kL1Objects,
    kL1Chunks, kL1PinnedChunks, kModelBytes;
extern const MetricInfo kL1Written, kL1Read, kL1Evicted, kL1EvictedBytes, kEvictionTicks,
    kEvictionTriggered, kAllocationFailures;
extern const MetricInfo kSubmittedStores, kFinishedStores, kSubmittedRetrieves, kFinishedRetrieves,
    kStoreThroughput, kLoadThroughput, kChunksLoaded, kCopiedBytes, kCopyQueue, kCopyFailures;
extern const MetricInfo kLookups, kRequestedTokens, kHitTokens, kHitL1Tokens, kHitL1Keys,
    kPrefetchJobs, kSessions, kLeasesExpired, kLeasesFreed;
extern const MetricInfo kRequests, kFailures, kQueueSeconds, kWorkSeconds, kReplySeconds;
extern const MetricInfo kConnections, kPaused, kAccepted, kRefused, kAcceptErrors,
    kHandshakeTimeouts, kHeartbeatTimeouts, kProtocolErrors, kMessages, kBytesIn, kBytesOut,
    kUnsentBytes;
extern const MetricInfo kWorkers, kChains, kChainBytes, kLoopSilence, kBuild;
extern const MetricInfo kCpu, kResident, kVirtual, kOpenFds, kMaxFds, kStartTime;

[[nodiscard]] std::span<const MetricInfo* const> all() noexcept;

/// The table of docs/METRICS.md.
[[nodiscard]] std::string markdown();

}  // namespace lmcache::admin::catalog
