#!/usr/bin/env bash
# Measures the way of objects to tape: each stage on its own, the whole chain, and LTO-9 drives in simulated and in real time.
#   tests/bench/pipeline.sh [--objects N]
# BENCH_DIR: where data and figures go (default: a fresh directory under target/); some ten times N MiB are needed. The
# figures stay in its pipeline.jsonl and pipeline.md; the data is removed.
# BENCH_TAPES: what stands for tapes is there (default: a fresh directory in memory, /dev/shm); some five times N MiB.
# BENCH_BINARIES: a directory with the binary bench; nothing is built then.
set -euo pipefail
cd "$(dirname "$0")/../.."

binaries=${BENCH_BINARIES:-target/release}
if [ -z "${BENCH_BINARIES:-}" ]; then
  cargo build --release --locked -p bench
fi
mkdir -p target
directory=${BENCH_DIR:-$(mktemp -d "$PWD/target/pipeline.XXXXXX")}
mkdir -p "$directory"
tapes=${BENCH_TAPES:-$(mktemp -d /dev/shm/tapegate-bench.XXXXXX)}
trap 'rm -rf "$tapes"' EXIT
TAPEGATE_LOG=${TAPEGATE_LOG:-warn} "$binaries/bench" pipeline --folder "$directory/data" --tapes "$tapes" \
  --lines "$directory/pipeline.jsonl" "$@" | tee "$directory/pipeline.md"
echo "figures: $directory/pipeline.jsonl"
