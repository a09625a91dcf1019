// What goes wrong on nodes, checked from facts about the machine, with the cure for each. Gathering
// the facts is machine.cpp's; judging them is pure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lmcache::commands {

/// Facts. Absent: the kernel does not tell, or does not let us see.
struct Machine {
  std::optional<std::uint64_t> memory_available_bytes;
  std::uint64_t memlock_bytes = 0;  ///< soft limit; UINT64_MAX: none
  std::uint64_t open_files = 0;     ///< hard limit, which the server raises its own to
  std::optional<std::string> transparent_hugepages;  ///< always, madvise or never
  std::optional<std::uint64_t> shm_bytes, shm_free_bytes;
  bool in_container = false;
  std::optional<bool> own_ipc_namespace;      ///< not that of the machine's first process
  std::optional<std::string> gpu_driver;      ///< version; absent: no NVIDIA driver
  std::vector<std::string> gpus;              ///< PCI addresses the driver knows
  std::vector<std::string> unusable_devices;  ///< device files that are missing or closed to us
  std::uint32_t numa_nodes = 1;
  std::optional<bool> request_port_free, http_port_free;
  bool request_port_answers = false;  ///< the protocol, to one who asked where it is taken
  std::string silence;                ///< why there is no answer from --url, where somebody listens
  std::string stranger;               ///< what came from --url that no server says
  std::optional<std::string> server_version;  ///< of the server that answers at --url
  std::optional<std::string> server_illness;  ///< what it says is wrong with itself
  bool server_wants_token = false;            ///< and says no more for want of it
  std::vector<std::uint16_t> server_ports;    ///< those known to be its own
};

/// What the server is to be on this machine.
struct Plan {
  double l1_gib = 1;
  std::uint16_t request_port = 5555, http_port = 8080;
  std::string own_version;
  unsigned own_cuda = 0;  ///< major version of the CUDA this program was built with; 0: none
};

/// kWarn: works, but not as well as it could, or only for some uses. kFail: will not work.
enum class Verdict : std::uint8_t { kOk, kWarn, kFail };
[[nodiscard]] std::string_view to_string(Verdict verdict) noexcept;

struct Check {
  std::string name;
  Verdict verdict = Verdict::kOk;
  std::string found;
  std::string cure = {};  ///< not empty unless kOk
};

[[nodiscard]] std::vector<Check> examine(const Machine& machine, const Plan& plan);

/// Of the driver's device files in `dev` those that are missing or closed to us. Of the GPUs only
/// those that have a file count, as a container may have been given a few; with `gpus` at least
/// one.
[[nodiscard]] std::vector<std::string> unusable_devices(const std::filesystem::path& dev,
                                                        bool gpus);

/// This machine, as seen from this process; `plan` names the ports to try.
[[nodiscard]] Machine look_around(const Plan& plan);

}  // namespace lmcache::commands
