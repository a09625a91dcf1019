// From exec to the first noop answered, and what the server then holds in memory.
// usage: startup_bench ROUNDS PORT BINARY ARGUMENT...   (the arguments must make it serve on PORT)
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <fstream>
#include <sstream>

#include "bench/dealer.hpp"

namespace lmcache::bench {
namespace {

double resident_mib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) != 0) continue;
    double kib = 0;
    std::istringstream(line.substr(6)) >> kib;
    return kib / 1024;
  }
  throw std::runtime_error("no VmRSS");
}

void measure(const std::string& url, char** command, Results& results) {
  Dealer dealer(url, 1);  // asks every millisecond whether somebody listens by now
  dealer.send(wire::Op::kNoop, {});
  pid_t pid = 0;
  const auto begin = Clock::now();
  if (::posix_spawn(&pid, command[0], nullptr, nullptr, command, environ) != 0) {
    throw std::runtime_error("cannot start the server");
  }
  dealer.receive();
  results.add("ready_s", seconds_since(begin));
  results.add("resident_mib", resident_mib(pid));
  ::kill(pid, SIGTERM);
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid || status != 0) {
    throw std::runtime_error("the server did not stop in order");
  }
}

}  // namespace
}  // namespace lmcache::bench

int main(int argc, char** argv) try {
  if (argc < 4) {
    std::fprintf(stderr, "usage: startup_bench ROUNDS PORT BINARY ARGUMENT...\n");
    return 2;
  }
  lmcache::bench::Results results;
  for (int round = std::atoi(argv[1]); round > 0; --round) {
    lmcache::bench::measure(std::string("tcp://127.0.0.1:") + argv[2], argv + 3, results);
  }
  results.print();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "startup_bench: %s\n", error.what());
  return 1;
}
