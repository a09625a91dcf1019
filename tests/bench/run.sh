#!/usr/bin/env bash
# Builds the server and the load generators, measures, prints the tables of docs/benchmarks.md.
# usage: tests/bench/run.sh [--quick] [--peer] [--json FILE] [--build DIR]
#   --quick      fewer rounds: for a look, not for figures to keep
#   --peer       also the published server (of the client's environment, see tests/run_all.sh)
#   --json FILE  every sample of every metric
#   --build DIR  use what is built there instead of building the preset "release"
set -euo pipefail
cd "$(dirname "$0")/../.."

build=
args=("$@")
for ((i = 0; i < $#; i++)); do
  [ "${args[i]}" = --build ] && build=${args[i + 1]:?--build needs a folder}
done
if [ -z "$build" ]; then
  build=build/release
  cmake --preset release > /dev/null
  cmake --build "$build" --target \
    lmcache zmq_echo rpc_bench startup_bench transfer_bench lookup_bench cache_bench > /dev/null
  args+=(--build "$build")
fi
exec python3 tests/bench/report.py "${args[@]}"
