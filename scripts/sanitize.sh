#!/usr/bin/env bash
# What tests cannot see by their results: reads and writes out of bounds, undefined behaviour, races, leaks, spilled registers.
#   scripts/sanitize.sh                 all of it, ten minutes or so
#   scripts/sanitize.sh core thread     parts: core (address, undefined), thread, addon (inside Node), leaks, spills
# Builds under build/sanitize-*, without CUDA. JOBS=N sets the compilers at once (default 2). Needs CMake, g++, objdump and, for addon and
# leaks, `npm run build` before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
parts=("$@")
[ $# -gt 0 ] || parts=(core thread addon leaks spills)
jobs=${JOBS:-2}

step() { printf '\n== %s (%d s so far)\n' "$*" "$SECONDS"; }
# build NAME TARGET OPTIONS...
build() {
  local folder=build/sanitize-$1 target=$2
  shift 2
  cmake -S . -B "$folder" -DCRAGRU_CUDA=OFF "$@" >/dev/null
  cmake --build "$folder" --target "$target" -j "$jobs" 2>&1 | grep -E 'error|\*\*\*' && return 1
  return 0
}

for part in "${parts[@]}"; do
  case $part in
    core)
      step "core: addresses and undefined behaviour"
      build address cragru_test -DCRAGRU_NODE=OFF -DCRAGRU_SANITIZE=address,undefined
      UBSAN_OPTIONS=print_stacktrace=1 build/sanitize-address/cragru_test
      ;;
    thread)
      # Hogwild's updates race by design: native/cpu/train_blocks.cpp exempts them by name.
      step "core: races between threads"
      build thread cragru_test -DCRAGRU_NODE=OFF -DCRAGRU_SANITIZE=thread
      TSAN_OPTIONS="halt_on_error=1 exitcode=66" build/sanitize-thread/cragru_test
      ;;
    addon)
      # Node itself is not instrumented: the runtime is loaded before it, and its own leaks are not ours.
      step "addon inside Node: addresses"
      build addon cragru -DCRAGRU_SANITIZE=address
      LD_PRELOAD="$(g++ -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=4 CRAGRU_ADDON=build/sanitize-addon/cragru.node \
        node --expose-gc test/native/cycles.mjs 2000 64
      ;;
    leaks)
      step "addon inside Node: memory after ten thousand cycles"
      node --expose-gc test/native/cycles.mjs
      ;;
    spills)
      step "inner loops: no sum of a register tile goes to the stack"
      build spills core -DCRAGRU_NODE=OFF
      node scripts/spills.mjs build/sanitize-spills
      ;;
    *)
      echo "unknown part $part: core, thread, addon, leaks, spills" >&2
      exit 2
      ;;
  esac
done
step "done: ${parts[*]}"
