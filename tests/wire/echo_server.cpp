// The echo server of test_pyzmq.py: prints its TCP port, serves until its standard input ends,
// drains. Arguments: the unix socket's path.
#include "echo_handler.hpp"
#include "net/server.hpp"

#include <chrono>
#include <cstdio>

int main(int argc, char** argv) {
  lmcache::test::EchoHandler handler;
  lmcache::net::NetOptions options;
  options.host = "127.0.0.1";
  if (argc > 1) options.unix_path = argv[1];
  lmcache::net::Server server{options, handler};
  if (const auto status = server.start(); !status) {
    std::fprintf(stderr, "%s\n", status.error().text.c_str());
    return 1;
  }
  std::printf("%d\n", server.port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  const bool drained = server.drain(std::chrono::steady_clock::now() + std::chrono::seconds{30});
  return drained ? 0 : 1;
}
