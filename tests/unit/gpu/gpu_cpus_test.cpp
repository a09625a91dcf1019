#include "gpu/gpu_cpus.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace lmcache::gpu {
namespace {

namespace fs = std::filesystem;

class GpuCpus : public testing::Test {
 protected:
  GpuCpus() {
    std::string name = (fs::temp_directory_path() / "lmcache-sys-XXXXXX").string();
    sys_ = ::mkdtemp(name.data());
  }
  ~GpuCpus() override { fs::remove_all(sys_); }
  void write(const std::string& file, const std::string& text) {
    fs::create_directories((sys_ / file).parent_path());
    std::ofstream(sys_ / file) << text << '\n';
  }
  void device(const std::string& slot, const std::string& vendor, const std::string& kind,
              const std::string& node) {
    const std::string folder = "bus/pci/devices/" + slot + "/";
    write(folder + "vendor", vendor);
    write(folder + "class", kind);
    write(folder + "numa_node", node);
  }
  fs::path sys_;
};

TEST_F(GpuCpus, AreThoseOfTheNodesThatHaveGpus) {
  device("0000:01:00.0", "0x10de", "0x030200", "1");
  device("0000:02:00.0", "0x8086", "0x030000", "0");  // not NVIDIA's
  device("0000:03:00.0", "0x10de", "0x020700", "0");  // not a GPU
  write("devices/system/node/node0/cpulist", "0-3");
  write("devices/system/node/node1/cpulist", "4-5,8");
  EXPECT_EQ(gpu_cpus(sys_), (std::vector<unsigned>{4, 5, 8}));
  EXPECT_TRUE(any_gpu(sys_));
}

TEST_F(GpuCpus, NoneWithoutAGpuOrWhereTheNodeIsUnknown) {
  EXPECT_FALSE(any_gpu(sys_));
  EXPECT_TRUE(gpu_cpus(sys_).empty());
  device("0000:01:00.0", "0x10de", "0x030000", "-1");
  EXPECT_TRUE(any_gpu(sys_));
  EXPECT_TRUE(gpu_cpus(sys_).empty());
}

}  // namespace
}  // namespace lmcache::gpu
