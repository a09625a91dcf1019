#include "commands/doctor.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace lmcache::commands {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Machine healthy() {
  Machine machine;
  machine.memory_available_bytes = std::uint64_t{64} << 30;
  machine.memlock_bytes = UINT64_MAX;
  machine.open_files = 1 << 20;
  machine.transparent_hugepages = "madvise";
  machine.shm_bytes = machine.shm_free_bytes = std::uint64_t{32} << 30;
  machine.own_ipc_namespace = false;
  machine.request_port_free = machine.http_port_free = true;
  return machine;
}

Plan plan() {
  Plan made;
  made.l1_gib = 16;
  made.own_version = "1.0";
  return made;
}

Check check_of(const Machine& machine, const std::string& name) {
  const auto checks = examine(machine, plan());
  const auto found = std::ranges::find(checks, name, &Check::name);
  EXPECT_NE(found, checks.end());
  return *found;
}

/// What a change of one fact does to one check.
template <class Change>
Check after(const std::string& name, Change change) {
  Machine machine = healthy();
  change(machine);
  const Check check = check_of(machine, name);
  if (check.verdict != Verdict::kOk) {
    EXPECT_THAT(check.cure, Not(IsEmpty())) << name;
  }
  return check;
}

TEST(Doctor, AHealthyMachineHasNothingToCure) {
  for (const Check& check : examine(healthy(), plan())) {
    EXPECT_EQ(check.verdict, Verdict::kOk) << check.name;
    EXPECT_THAT(check.cure, IsEmpty());
  }
}

TEST(Doctor, AnL1ThatDoesNotFitFails) {
  const Check check = after("memory", [](Machine& m) { m.memory_available_bytes = 1u << 30; });
  EXPECT_EQ(check.verdict, Verdict::kFail);
  EXPECT_THAT(check.cure, HasSubstr("16384 MiB does not fit"));
}

TEST(Doctor, LimitsThatAreTooLowAreWarnedOf) {
  EXPECT_EQ(after("memlock", [](Machine& m) { m.memlock_bytes = 8u << 20; }).verdict,
            Verdict::kWarn);
  EXPECT_EQ(after("open_files", [](Machine& m) { m.open_files = 1024; }).verdict, Verdict::kWarn);
}

TEST(Doctor, SmallPagesAndTheContainersSharedMemoryAreWarnedOf) {
  EXPECT_EQ(after("hugepages", [](Machine& m) { m.transparent_hugepages = "never"; }).verdict,
            Verdict::kWarn);
  EXPECT_EQ(after("shared_memory", [](Machine& m) { m.shm_bytes = 64u << 20; }).verdict,
            Verdict::kWarn);
  EXPECT_EQ(after("shared_memory", [](Machine& m) { m.shm_bytes.reset(); }).verdict,
            Verdict::kFail);
}

TEST(Doctor, AnIpcNamespaceOfItsOwnIsWarnedOf) {
  EXPECT_EQ(after("ipc_namespace", [](Machine& m) { m.own_ipc_namespace = true; }).verdict,
            Verdict::kWarn);
  const auto unseen = [](bool container) {
    return after("ipc_namespace",
                 [=](Machine& m) {
                   m.own_ipc_namespace.reset();
                   m.in_container = container;
                 })
        .verdict;
  };
  EXPECT_EQ(unseen(true), Verdict::kWarn);
  EXPECT_EQ(unseen(false), Verdict::kOk);
}

TEST(Doctor, GpusThatCannotBeUsedFail) {
  const auto with_driver = [](Machine& m) {
    m.gpu_driver = "550.54";
    m.gpus = {"0000:01:00.0"};
  };
  EXPECT_EQ(after("gpus", with_driver).found, "1 GPU, driver 550.54");
  EXPECT_EQ(after("gpus",
                  [&](Machine& m) {
                    with_driver(m);
                    m.unusable_devices = {"/dev/nvidia-uvm"};
                  })
                .verdict,
            Verdict::kFail);
  EXPECT_EQ(after("gpus", [&](Machine& m) { m.gpu_driver = "550.54"; }).verdict, Verdict::kFail);
}

TEST(Doctor, ADriverThatIsTooOldForTheBuildFails) {
  Machine machine = healthy();
  machine.gpus = {"0000:01:00.0"};
  const auto verdict = [&](const char* driver, unsigned cuda) {
    machine.gpu_driver = driver;
    Plan made = plan();
    made.own_cuda = cuda;
    const auto checks = examine(machine, made);
    const Check check = *std::ranges::find(checks, "gpus", &Check::name);
    if (check.verdict == Verdict::kFail) {
      EXPECT_THAT(check.cure, HasSubstr("driver 580 or later"));
    }
    return check.verdict;
  };
  EXPECT_EQ(verdict("570.124.06", 13), Verdict::kFail);
  EXPECT_EQ(verdict("580.65", 13), Verdict::kOk);
  EXPECT_EQ(verdict("of unknown version", 13), Verdict::kOk);
  EXPECT_EQ(verdict("570.124.06", 0), Verdict::kOk);
}

TEST(Doctor, LooksAtTheDeviceFilesThereAre) {
  const std::filesystem::path dev = std::filesystem::path(testing::TempDir()) / "doctor_dev";
  std::filesystem::remove_all(dev);
  std::filesystem::create_directories(dev / "nvidia-caps");
  for (const char* name : {"nvidiactl", "nvidia-uvm"}) std::ofstream(dev / name) << ' ';
  EXPECT_THAT(unusable_devices(dev, false), IsEmpty());
  EXPECT_THAT(unusable_devices(dev, true), testing::ElementsAre(dev / "nvidia0"));
  std::ofstream(dev / "nvidia3") << ' ';
  EXPECT_THAT(unusable_devices(dev, true), IsEmpty());
  std::filesystem::create_symlink("/nonexistent/x", dev / "nvidia12");  // closed, even to root
  EXPECT_THAT(unusable_devices(dev, true), testing::ElementsAre(dev / "nvidia12"));
  std::filesystem::remove_all(dev);
}

TEST(Doctor, SeveralNumaNodesAreWarnedOf) {
  EXPECT_EQ(after("numa", [](Machine&) {}).found, "1 node");
  EXPECT_EQ(after("numa", [](Machine& m) { m.numa_nodes = 2; }).verdict, Verdict::kWarn);
}

TEST(Doctor, ABusyPortFailsUnlessItIsTheServers) {
  const Check busy = after("request_port", [](Machine& m) { m.request_port_free = false; });
  EXPECT_EQ(busy.verdict, Verdict::kFail);
  EXPECT_THAT(busy.cure, HasSubstr("another --port"));
  EXPECT_EQ(after("http_port",
                  [](Machine& m) {
                    m.http_port_free = false;
                    m.server_version = "1.0";
                    m.server_ports = {8080};
                  })
                .verdict,
            Verdict::kOk);
  const Check foreign = after("request_port", [](Machine& m) {
    m.request_port_free = false;
    m.server_version = "1.0";
    m.server_ports = {8080, 6555};
  });
  EXPECT_EQ(foreign.verdict, Verdict::kFail);
}

TEST(Doctor, APortThatSpeaksTheProtocolIsAServers) {
  const auto without_http = [](Machine& m) {
    m.request_port_free = false;
    m.request_port_answers = true;
  };
  EXPECT_EQ(after("request_port", without_http).verdict, Verdict::kOk);
  const Check server = after("running_server", without_http);
  EXPECT_EQ(server.verdict, Verdict::kOk);
  EXPECT_THAT(server.found, HasSubstr("at 5555, without admin HTTP"));
}

TEST(Doctor, OnlyWhereNobodyListensThereIsNone) {
  EXPECT_EQ(after("running_server", [](Machine&) {}).found, "none");
  const auto hangs = [](Machine& m) {
    m.http_port_free = false;
    m.silence = "no answer in time from http://h:1";
  };
  const Check silent = after("running_server", hangs);
  EXPECT_EQ(silent.verdict, Verdict::kFail);
  EXPECT_THAT(silent.found, HasSubstr("does not answer: no answer in time from http://h:1"));
  const Check its_port = after("http_port", hangs);
  EXPECT_EQ(its_port.verdict, Verdict::kWarn);
  EXPECT_THAT(its_port.found, HasSubstr("maybe by the server that does not answer"));
  const Check other = after("running_server", [](Machine& m) { m.stranger = "HTTP 404 from u"; });
  EXPECT_EQ(other.verdict, Verdict::kWarn);
  EXPECT_THAT(other.found, HasSubstr("something else answers: HTTP 404 from u"));
}

TEST(Doctor, ARunningServerIsToBeWellAndOfThisVersion) {
  EXPECT_EQ(after("running_server", [](Machine& m) { m.server_version = "0.9"; }).verdict,
            Verdict::kWarn);
  const Check ill = after("running_server", [](Machine& m) {
    m.server_version = "1.0";
    m.server_illness = "not come round for 12 s: copy thread 0";
  });
  EXPECT_EQ(ill.verdict, Verdict::kFail);
  EXPECT_THAT(ill.found, HasSubstr("copy thread 0"));
}

TEST(Doctor, AServerThatWantsATokenIsToBeGivenIt) {
  const auto locked = [](Machine& m) {
    m.request_port_free = false;
    m.server_version = "unknown";
    m.server_wants_token = true;
  };
  for (const char* name : {"running_server", "request_port"}) {
    const Check check = after(name, locked);
    EXPECT_EQ(check.verdict, Verdict::kWarn) << name;
    EXPECT_THAT(check.cure, HasSubstr("give --token-file")) << name;
    EXPECT_THAT(check.cure, Not(HasSubstr("restart"))) << name;
  }
}

TEST(Doctor, LooksAroundThisMachine) {
  const Machine machine = look_around(plan());
  EXPECT_GT(machine.open_files, 0u);
  EXPECT_GE(machine.numa_nodes, 1u);
  ASSERT_TRUE(machine.memory_available_bytes);
  EXPECT_GT(*machine.memory_available_bytes, 0u);
}

}  // namespace
}  // namespace lmcache::commands
