// Stands in for libFuzzer where there is none: runs a target over its seeds and over a fixed set of
// mutations of them, so that every compiler's build, and every sanitizer's, executes the target.
// usage: replay_NAME CORPUS_FOLDER MUTATIONS_PER_SEED
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<Bytes> read_seeds(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> seeds;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return seeds;
}

class Mutator {
 public:
  explicit Mutator(const std::vector<Bytes>& seeds) : seeds_(seeds) {}

  Bytes next(Bytes bytes) {
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) edit(bytes);
    return bytes;
  }

 private:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void edit(Bytes& bytes) {
    const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(below(bytes.size() + 1));
    switch (below(5)) {
      case 0:
        if (at != bytes.end()) *at = static_cast<std::uint8_t>(random_());
        break;
      case 1:
        if (at != bytes.end()) *at = static_cast<std::uint8_t>(*at ^ 1u << below(8));
        break;
      case 2:
        bytes.erase(at, bytes.end());
        break;
      case 3:
        bytes.insert(at, 1 + below(4), static_cast<std::uint8_t>(below(2) * 255));
        break;
      default: {
        const Bytes& other = seeds_[below(seeds_.size())];
        bytes.erase(at, bytes.end());
        bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(below(other.size())),
                     other.end());
      }
    }
  }

  const std::vector<Bytes>& seeds_;
  std::minstd_rand random_{1};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER MUTATIONS_PER_SEED\n", argv[0]);
    return 2;
  }
  const auto seeds = read_seeds(argv[1]);
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds in %s\n", argv[1]);
    return 1;
  }
  Mutator mutator(seeds);
  const int mutations = std::atoi(argv[2]);
  for (const Bytes& seed : seeds) {
    LLVMFuzzerTestOneInput(seed.data(), seed.size());
    for (int i = 0; i < mutations; ++i) {
      const Bytes input = mutator.next(seed);
      LLVMFuzzerTestOneInput(input.data(), input.size());
    }
  }
  return 0;
}
