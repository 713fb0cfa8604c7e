#!/usr/bin/env bash
# Fuzzes the argument layer and the kernels behind it (native/test/fuzz.cpp) with clang's libFuzzer under the address and undefined
# behaviour sanitizers, on one core.
#   scripts/fuzz.sh SECONDS [folder]      the folder keeps what was found worth keeping (default build/fuzz/corpus), and crashes
# A crash is repeated with: build/fuzz/cragru_fuzz FILE. Needs CMake, clang and its runtime (Debian: clang libclang-rt-14-dev).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:?seconds}
corpus=${2:-build/fuzz/corpus}
clang=$(command -v clang++ || command -v clang++-14) || { echo "clang++ is missing" >&2; exit 2; }
CXX=$clang cmake -S . -B build/fuzz -DCRAGRU_NODE=OFF -DCRAGRU_CUDA=OFF -DCRAGRU_SANITIZE=fuzzer-no-link,address,undefined -DCRAGRU_FUZZ=ON >/dev/null
cmake --build build/fuzz --target cragru_fuzz -j "${JOBS:-2}" 2>&1 | grep -E 'error|\*\*\*' && exit 1
mkdir -p "$corpus"
if [ -z "$(ls -A "$corpus")" ]; then
  # A start for each call: a run of small bytes, which mostly pass the checks.
  for call in 0 1 2 3 4 5 6 7 8 9 10 11; do
    for width in 40 150 400; do
      { printf "\\x$(printf %02x "$call")"; for ((at = 0; at < width; at++)); do printf "\\x$(printf %02x $(((at * 37 + width + call) % 90)))"; done; } >"$corpus/start-$call-$width"
    done
  done
fi
# A slow input is a bug too: ten seconds for shapes this small. Memory: 2 GB.
build/fuzz/cragru_fuzz -max_total_time="$seconds" -max_len=600 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$corpus/../" "$corpus"
