#include "gpu/engine_process.hpp"

#include <gtest/gtest.h>

#include <signal.h>

#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[1]) == "--engine")
    return lmcache::test::run_engine(std::atoi(argv[2]));
  ::signal(SIGPIPE, SIG_IGN);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
