#!/usr/bin/env bash
# Installs what is needed from Debian 12's packages: `run` to build and run the server, `test` for all the tests too.
set -euo pipefail

run=(g++ cmake ninja-build ccache git libboost1.81-dev libspdlog-dev libcli11-dev nlohmann-json3-dev libssl-dev librust-blake3-dev
     file dpkg-dev)
test=(libgtest-dev libgmock-dev libbenchmark-dev libzmq3-dev cppzmq-dev pkg-config
      clang libclang-rt-14-dev clang-format clang-tidy python3 python3-venv python3-zmq python3-msgpack util-linux procps systemd systemd-container
      adduser
      chromium)

case "${1:-}" in
  run) packages=("${run[@]}") ;;
  test) packages=("${run[@]}" "${test[@]}") ;;
  *) echo "usage: $0 run|test" >&2; exit 2 ;;
esac

missing=()
for package in "${packages[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
