// One registration per format that engines send, small enough to copy in no time.
#pragma once

#include "support/kv_tensors.hpp"

#include <lmcache/geometry.hpp>

#include <string>
#include <vector>

namespace lmcache::test {

struct KvCase {
  std::string name;
  Registration made;
  EngineType engine = EngineType::kVllm;
};

inline constexpr std::int64_t kCaseBlocks = 24;  ///< of every tensor
inline constexpr std::int64_t kCaseRows = 8;     ///< of a block

inline std::vector<KvCase> kv_cases() {
  constexpr std::int64_t kNb = kCaseBlocks, kBs = kCaseRows, kNh = 3, kHs = 16;
  std::vector<KvCase> cases;
  const auto add = [&](std::string name, const std::string& layout, const TensorDesc& tensor) {
    KvCase made;
    made.name = std::move(name);
    made.made.hints = kv_layout(layout);
    made.made.tensors.assign(3, tensor);
    made.made.infos = {group_info(0, {0, 1, 2}, kBs)};
    cases.push_back(std::move(made));
  };
  add("1", "NHD", dense("bfloat16", {2, kNb, kBs, kNh, kHs}));
  add("6", "HND", dense("bfloat16", {2, kNb, kNh, kBs, kHs}));
  add("2", "NHD", dense("float32", {kNb, 2, kBs, kNh, kHs}));
  add("7", "HND", dense("uint8", {kNb, 2, kNh, kBs, kHs}));
  add("12", "HND", dense("bfloat16", {kNb, kNh, kBs, kHs}));
  const std::int64_t padded = kNh * kBs * kHs + 24;
  add("12 padded", "BLHNC",
      strided("bfloat16", {kNb, kNh, kBs, kHs}, {padded, kBs * kHs, kHs, 1}, 40));
  add("13", "NHD", dense("bfloat16", {kNb, kBs, kNh, kHs}));
  add("13 padded", "BLNHC",
      strided("bfloat16", {kNb, kBs, kNh, kHs}, {padded, kNh * kHs, kHs, 1}, 40));
  add("3", "NHD", dense("bfloat16", {kNb, kBs, 40}));
  add("3 padded, odd", "NHD", strided("uint8", {kNb, kBs, 73}, {600, 73, 1}, 5));
  add("one head of 12", "HND", dense("uint8", {kNb, 1, kBs, 584}));
  add("14", "NHD", dense("uint8", {kNb, kBs, 132}));
  add("14 padded", "BLHNC", strided("uint8", {kNb, 1, kBs, 132}, {1300, kBs * 132, 132, 1}, 64));
  KvCase cross;
  cross.name = "0";
  cross.made.tensors = {dense("bfloat16", {kNb, 4, 2, kBs, kNh, kHs})};
  cases.push_back(cross);
  cross.name = "8";
  cross.made.tensors = {dense("bfloat16", {kNb, 4, 2, kNh, kBs, kHs})};
  cross.made.hints = kv_layout("HND");
  cases.push_back(cross);
  KvCase pairs;
  pairs.name = "9";
  pairs.engine = EngineType::kSglang;
  pairs.made.tensors.assign(6, dense("bfloat16", {kNb * kBs, kNh, kHs}));
  pairs.made.hints.kv_list_layout = "k_v";
  pairs.made.hints.tokens_per_block = kBs;
  cases.push_back(pairs);
  pairs.name = "4";
  pairs.made.hints.tokens_per_block.reset();
  pairs.made.infos = {group_info(0, {0, 1, 2}, kBs)};
  cases.push_back(pairs);
  KvCase mla;
  mla.name = "5";
  mla.engine = EngineType::kSglang;
  mla.made.tensors.assign(2, dense("bfloat16", {kNb * kBs, 1, 40}));
  mla.made.infos = {group_info(0, {0, 1}, kBs)};
  cases.push_back(mla);
  KvCase hybrid;  // two engine groups over one pool, one with a window of half a chunk
  hybrid.name = "hybrid";
  hybrid.made.hints = kv_layout("BLHNC");
  const auto view = [&](std::int64_t rows, std::int64_t width, std::int64_t offset) {
    TensorDesc tensor =
        strided("uint8", {kNb, 1, rows, width}, {4096, rows * width, width, 1}, offset);
    tensor.segment_bytes = static_cast<std::uint64_t>(kNb * 4096);
    return tensor;
  };
  hybrid.made.tensors = {view(16, 40, 0), view(16, 132, 704), view(4, 73, 16), view(4, 73, 400)};
  hybrid.made.infos = {group_info(0, {0}, 16), group_info(0, {1}, 16),
                       group_info(1, {2, 3}, 4, 12)};
  cases.push_back(hybrid);
  return cases;
}

}  // namespace lmcache::test
