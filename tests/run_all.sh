#!/usr/bin/env bash
# Runs every test, installing what that needs. Prints a line per stage and, of a failed one, the end of its log.
# usage: tests/run_all.sh [STAGE...]      all stages, in order, when none is named; --list names them
set -uo pipefail
cd "$(dirname "$0")/.."

readonly client_version=0.5.6
readonly venv=${XDG_CACHE_HOME:-$HOME/.cache}/lmcached/client-$client_version
readonly tools=${XDG_CACHE_HOME:-$HOME/.cache}/lmcached/tools
readonly logs=$PWD/build/logs
readonly acceptance=../shared/acceptance/accept.py
readonly fuzz_seconds=15
export PATH=$tools/usr/bin:$PATH
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

# ThreadSanitizer of gcc 12 cannot place its shadow on kernels with much address randomisation.
no_aslr=()
setarch -R true 2>/dev/null && no_aslr=(setarch -R)

stage_deps() { configs/install_deps.sh test; }

# The published client, in an environment of its own: some 6 GB, four minutes the first time.
stage_published_client() {
  "$venv/bin/python" -c "import importlib.metadata as m, lmcache, torch, zmq; assert m.version('lmcache') == '$client_version'" \
    && return 0
  python3 -m venv --clear "$venv" && "$venv/bin/python" -m pip install --quiet "lmcache==$client_version"
}

# Debian has promtool only in a package that also starts a server, so it is unpacked, not installed.
stage_promtool() {
  [ -x "$tools/usr/bin/promtool" ] && return 0
  local folder
  folder=$(mktemp -d)
  mkdir -p "$tools"
  (cd "$folder" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb "$tools")
  local result=$?
  rm -rf "$folder"
  return $result
}

stage_format() {
  git ls-files -z --cached --others --exclude-standard '*.cpp' '*.hpp' | xargs -0 clang-format --dry-run -Werror
}

build() { cmake --preset "$1" && cmake --build --preset "$1"; }

stage_release() { build release; }

stage_ctest() { ctest --preset release -j "$(nproc)"; }

# python_tests FOLDER BINARY [NAME...]: every test script of the folder, or those NAME_test.py, each against the given server binary.
python_tests() {
  local folder=tests/$1 binary=$PWD/$2 failed=0 ran=0 script
  shift 2
  local scripts=("$folder"/test_*.py "$folder"/*_test.py)
  [ $# -gt 0 ] && scripts=("${@/%/_test.py}") && scripts=("${scripts[@]/#/$folder/}")
  for script in "${scripts[@]}"; do
    [[ $script == *\** ]] && continue  # a pattern that nothing has
    ran=$((ran + 1))
    echo "== $script"
    LMCACHE_BINARY=$binary timeout 600 "$venv/bin/python" "$script" || { echo "FAILED: $script"; failed=1; }
  done
  echo "$ran scripts"
  return $failed
}

stage_cli() { python_tests cli build/release/src/app/lmcache; }

stage_client() { python_tests client build/release/src/app/lmcache; }

stage_admin() { python_tests admin build/release/src/app/lmcache; }

# A package of the server preset, unpacked and run; the unit, the rules and the dashboard by their own tools.
stage_package() {
  rm -rf build/package && build server && (cd build/server && cpack -G DEB -B ../package) \
    && LMCACHE_DEB=$(echo "$PWD"/build/package/*.deb) python_tests package build/release/src/app/lmcache
}

stage_acceptance() {
  [ -e "$acceptance" ] || { echo "$acceptance is not here: skipped"; return 0; }
  local log=$logs/acceptance-server.log server port="" result
  build/release/src/app/lmcache server --port 0 --http-port 0 --l1-size-gb 2 --eviction-policy LRU 2> "$log" &
  server=$!
  for _ in $(seq 100); do
    port=$(sed -n 's/.*LMCache zmq cache server is running on .*:\([0-9]*\)$/\1/p' "$log")
    [ -n "$port" ] && break
    sleep 0.1
  done
  [ -n "$port" ] || { cat "$log"; kill "$server"; return 1; }
  # The driver tells tensors apart by id(), which Python gives out again, and then registers another case's memory. A case
  # that fails must pass in a process of its own.
  local output failed
  output=$(timeout 900 "$venv/bin/python" "$acceptance" "tcp://localhost:$port")
  result=$?
  echo "$output"
  failed=$(sed -n 's/^FAIL  *\([a-z0-9_]*\).*/\1/p' <<< "$output")
  if [ $result -ne 0 ] && [ -n "$failed" ]; then
    result=0
    for case in $failed; do
      timeout 300 "$venv/bin/python" "$acceptance" "tcp://localhost:$port" --only "$case" || result=1
    done
  fi
  kill -TERM "$server"
  wait "$server" || { echo "the server did not stop in order"; result=1; }
  tail -n 20 "$log"
  return $result
}

# sanitized PRESET: the published client, and what the HTTP server has to bear, against a server of that build.
sanitized() {
  python_tests client "build/$1/src/app/lmcache" && python_tests admin "build/$1/src/app/lmcache" abuse endpoints status
}

# The suites that need no timing, and scripts against a server built the same way.
# Without the long traces that judge policies by what they serve: minutes, for code that others run here, too.
stage_asan() {
  build asan && ctest --preset asan -j "$(nproc)" -L 'unit|wire' -E 'HitRatiosStayInTheirBand|DefaultPolicy\.|LongPrompt\.' && sanitized asan
}

# Targets are named fuzz_x; their seeds, if any, are in tests/fuzz/corpus/x and are only read.
stage_fuzz() {
  local target name found ran=0 seeds
  for target in build/asan/tests/fuzz/fuzz_*; do
    [ -x "$target" ] || continue
    name=$(basename "$target")
    name=${name#fuzz_}
    seeds=()
    [ -d "tests/fuzz/corpus/$name" ] && seeds=("tests/fuzz/corpus/$name")
    found=$(mktemp -d)
    "$target" -max_total_time=$fuzz_seconds -artifact_prefix="$logs/" "$found" "${seeds[@]}" || return 1
    rm -rf "$found"
    ran=$((ran + 1))
  done
  echo "$ran targets"
  [ $ran -gt 0 ]
}

# What that build compiled, several files of a folder at a time: most of the work is in the headers that they share. Files that
# need CUDA are in no build with clang.
stage_tidy() {
  "$venv/bin/python" -c 'import json; print(*(c["file"] for c in json.load(open("build/asan/compile_commands.json"))), sep="\n")' \
    | grep "^$PWD/build/asan/src/.*/Unity/" | sort -u | xargs -n 1 -P "$(nproc)" clang-tidy --quiet -p build/asan
}

# What has threads, and the same scripts. In a shell of its own, because CMake runs the tests while building, to list their
# cases.
threaded() {
  cmake --preset tsan && cmake --build --preset tsan --target threaded \
    && ctest --preset tsan -j "$(nproc)" -L threaded && sanitized tsan
}
stage_tsan() { "${no_aslr[@]}" env venv="$venv" bash -c "$(declare -f threaded sanitized python_tests); threaded"; }

stages=(deps published_client promtool format release ctest cli client admin package acceptance asan fuzz tidy tsan)
[ "${1:-}" = --list ] && { printf '%s\n' "${stages[@]}"; exit 0; }
[ $# -gt 0 ] && stages=("$@")
for stage in "${stages[@]}"; do
  declare -F "stage_$stage" > /dev/null || { echo "no such stage: $stage (--list names them)" >&2; exit 2; }
done

# Of a log the first things that went wrong, which may be far from its end, and the end.
what_failed() {
  grep -nE -A 15 '^(FAIL|ERROR): |^FAILED|\[  FAILED  \]|Sanitizer: |runtime error: |[ :]error: |Assertion' "$1" | head -n 100
  echo "-- the end of $1:"
  tail -n 30 "$1"
}

mkdir -p "$logs"
summary=()
status=0
for stage in "${stages[@]}"; do
  begin=$SECONDS
  if ("stage_$stage") > "$logs/$stage.log" 2>&1 < /dev/null; then
    line=$(printf 'ok      %-18s %5d s' "$stage" $((SECONDS - begin)))
  else
    line=$(printf 'FAILED  %-18s %5d s   %s' "$stage" $((SECONDS - begin)) "build/logs/$stage.log")
    status=1
    what_failed "$logs/$stage.log"
  fi
  echo "$line"
  summary+=("$line")
done

printf '\nSummary\n'
printf '%s\n' "${summary[@]}"
failed=$(printf '%s\n' "${summary[@]}" | grep -c '^FAILED')
printf '%d passed, %d failed\n' $((${#summary[@]} - failed)) "$failed"
exit $status
