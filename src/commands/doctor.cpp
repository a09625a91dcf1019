#include "commands/doctor.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace lmcache::commands {
namespace {

using std::to_string;

// CUDA 13 and the driver it needs at least.
constexpr unsigned kDriverCuda = 13, kDriverMajor = 580;

std::string mib(std::uint64_t bytes) {
  return to_string(bytes >> 20) + " MiB";
}

std::uint64_t l1_bytes(const Plan& plan) {
  return static_cast<std::uint64_t>(std::llround(plan.l1_gib * 1024 * 1024 * 1024));
}

Check memory(const Machine& m, const Plan& plan) {
  Check check{"memory", Verdict::kOk, ""};
  if (!m.memory_available_bytes) return {"memory", Verdict::kWarn, "unknown", "mount /proc"};
  check.found = mib(*m.memory_available_bytes) + " available";
  if (*m.memory_available_bytes < l1_bytes(plan)) {
    check.verdict = Verdict::kFail;
    check.cure = "L1 of " + mib(l1_bytes(plan)) + " does not fit: choose a smaller --l1-size-gb";
  }
  return check;
}

Check memlock(const Machine& m, const Plan& plan) {
  if (m.memlock_bytes == UINT64_MAX) return {"memlock", Verdict::kOk, "unlimited"};
  Check check{"memlock", Verdict::kOk, mib(m.memlock_bytes)};
  if (m.memlock_bytes < l1_bytes(plan)) {
    check.verdict = Verdict::kWarn;
    check.cure =
        "--l1-lock-memory will fail: LimitMEMLOCK=infinity in the unit, `ulimit -l unlimited` in a "
        "shell, --ulimit memlock=-1 for a container";
  }
  return check;
}

Check open_files(const Machine& m) {
  Check check{"open_files", Verdict::kOk, to_string(m.open_files)};
  if (m.open_files < 8192) {
    check.verdict = Verdict::kWarn;
    check.cure = "fewer than --max-connections may need: LimitNOFILE=65536 in the unit";
  }
  return check;
}

Check hugepages(const Machine& m) {
  const std::string mode = m.transparent_hugepages.value_or("not there");
  if (mode == "always" || mode == "madvise") return {"hugepages", Verdict::kOk, mode};
  return {"hugepages", Verdict::kWarn, mode,
          "L1 gets small pages, copies are slower: echo madvise > "
          "/sys/kernel/mm/transparent_hugepage/enabled"};
}

Check shared_memory(const Machine& m) {
  constexpr std::uint64_t kDockerDefault = 64u << 20;
  if (!m.shm_bytes)
    return {"shared_memory", Verdict::kFail, "no /dev/shm",
            "mount a tmpfs on /dev/shm; engines on CPU keep their KV tensors there"};
  Check check{"shared_memory", Verdict::kOk, mib(*m.shm_bytes) + " in /dev/shm"};
  if (m.shm_free_bytes) check.found += ", " + mib(*m.shm_free_bytes) + " free";
  if (*m.shm_bytes <= kDockerDefault) {
    check.verdict = Verdict::kWarn;
    check.cure =
        "too small for engines on CPU: --ipc=host or --shm-size for a container, "
        "`mount -o remount,size=50% /dev/shm` on a machine";
  }
  return check;
}

Check ipc_namespace(const Machine& m) {
  if (m.own_ipc_namespace == false) return {"ipc_namespace", Verdict::kOk, "the machine's"};
  if (!m.own_ipc_namespace && !m.in_container)
    return {"ipc_namespace", Verdict::kOk, "not visible from here; no container"};
  return {"ipc_namespace", Verdict::kWarn,
          m.own_ipc_namespace ? "one of its own" : "not visible from this container",
          "engines must share it: run both with --ipc=host, or both in one pod with hostIPC: true"};
}

/// Whether the driver is too old for the CUDA this program was built with.
bool too_old(const std::string& driver, const Plan& plan) {
  if (plan.own_cuda < kDriverCuda) return false;
  unsigned major = kDriverMajor;  // one whose version cannot be read may do
  std::from_chars(driver.data(), driver.data() + driver.size(), major);
  return major < kDriverMajor;
}

Check gpus(const Machine& m, const Plan& plan) {
  if (!m.gpu_driver) return {"gpus", Verdict::kOk, "no NVIDIA driver; engines on CPU only"};
  Check check{"gpus", Verdict::kOk,
              to_string(m.gpus.size()) + (m.gpus.size() == 1 ? " GPU" : " GPUs") + ", driver " +
                  *m.gpu_driver};
  if (m.gpus.empty()) {
    check.verdict = Verdict::kFail;
    check.cure = "the driver is loaded and sees no GPU: see `dmesg | grep -i nvrm`";
  } else if (too_old(*m.gpu_driver, plan)) {
    check.verdict = Verdict::kFail;
    check.cure = "this program was built with CUDA " + to_string(plan.own_cuda) +
                 ": install driver " + to_string(kDriverMajor) + " or later";
  } else if (!m.unusable_devices.empty()) {
    check.verdict = Verdict::kFail;
    check.found += ", no access to " + m.unusable_devices.front();
    check.cure =
        "--gpus=all for a container; on a machine join the group that owns it, see "
        "`ls -l /dev/nvidia*`";
  }
  return check;
}

Check numa(const Machine& m) {
  Check check{"numa", Verdict::kOk,
              to_string(m.numa_nodes) + (m.numa_nodes == 1 ? " node" : " nodes")};
  if (m.numa_nodes > 1) {
    check.verdict = Verdict::kWarn;
    check.cure =
        "copies that cross nodes are slower: numactl --interleave=all, or one server per "
        "node with --cpunodebind and --membind";
  }
  return check;
}

Check port(const char* name, const char* flag, std::uint16_t number, std::optional<bool> is_free,
           bool answers, const Machine& m) {
  const std::string text = to_string(number);
  if (is_free.value_or(true)) return {name, Verdict::kOk, text + " is free"};
  if (answers || std::ranges::count(m.server_ports, number) > 0)
    return {name, Verdict::kOk, text + " is in use, a server answers"};
  if (!m.silence.empty())
    return {name, Verdict::kWarn, text + " is in use, maybe by the server that does not answer",
            "see running_server first"};
  if (m.server_wants_token)
    return {name, Verdict::kWarn, text + " is in use, maybe by the running server",
            "give --token-file: the server then says which ports are its own"};
  std::string cure = "see who has it with `ss -ltnp 'sport = :" + text + "'`, stop it or choose ";
  return {name, Verdict::kFail, text + " is in use", cure + "another " + flag};
}

Check running_server(const Machine& m, const Plan& plan) {
  if (!m.silence.empty())
    return {"running_server", Verdict::kFail, "does not answer: " + m.silence,
            "it hangs, is stopped, or a firewall is in between: `systemctl status lmcache` and its "
            "log, then `systemctl restart lmcache`"};
  if (!m.stranger.empty())
    return {"running_server", Verdict::kWarn, "something else answers: " + m.stranger,
            "give --url of a server's admin HTTP; `ss -ltnp` says who has which port"};
  if (!m.server_version && m.request_port_answers)
    return {"running_server", Verdict::kOk,
            "at " + to_string(plan.request_port) + ", without admin HTTP to ask at --url"};
  if (!m.server_version) return {"running_server", Verdict::kOk, "none"};
  Check check{"running_server", Verdict::kOk, "version " + *m.server_version};
  if (m.server_illness) {
    check.verdict = Verdict::kFail;
    check.found += ", unwell: " + *m.server_illness;
    check.cure = "systemctl restart lmcache; its log says more";
  } else if (m.server_wants_token) {
    check.verdict = Verdict::kWarn;
    check.found = "there is one, which asks for a token";
    check.cure = "give --token-file with the server's token, to have it looked at";
  } else if (*m.server_version != plan.own_version) {
    check.verdict = Verdict::kWarn;
    check.cure = "this program is " + plan.own_version + ": restart the server to run it";
  }
  return check;
}

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kWarn:
      return "warn";
    case Verdict::kFail:
      return "FAIL";
  }
  return "FAIL";
}

std::vector<Check> examine(const Machine& machine, const Plan& plan) {
  return {memory(machine, plan),
          memlock(machine, plan),
          open_files(machine),
          hugepages(machine),
          shared_memory(machine),
          ipc_namespace(machine),
          gpus(machine, plan),
          numa(machine),
          port("request_port", "--port", plan.request_port, machine.request_port_free,
               machine.request_port_answers, machine),
          port("http_port", "--http-port", plan.http_port, machine.http_port_free, false, machine),
          running_server(machine, plan)};
}

}  // namespace lmcache::commands
