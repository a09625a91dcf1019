#include "pool/huge_pages.hpp"

#include <fstream>

namespace lmcache::pool {
namespace {

std::uint64_t pages_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::uint64_t pages = 0;
  return file >> pages ? pages : 0;
}

}  // namespace

HugePages huge_pages(const std::filesystem::path& folder) {
  return {pages_in(folder / "nr_hugepages"), pages_in(folder / "free_hugepages"),
          pages_in(folder / "resv_hugepages")};
}

}  // namespace lmcache::pool
