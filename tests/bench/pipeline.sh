#!/usr/bin/env bash
# Measures the way of objects to tape: each stage on its own, the whole chain, and LTO-9 drives in simulated time.
#   tests/bench/pipeline.sh [--objects N]
# BENCH_DIR: where data and figures go (default: a fresh directory under target/); some nine times N MiB are needed. The
# figures stay in its pipeline.jsonl and pipeline.md; the data is removed.
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
TAPEGATE_LOG=${TAPEGATE_LOG:-warn} "$binaries/bench" pipeline --folder "$directory/data" \
  --lines "$directory/pipeline.jsonl" "$@" | tee "$directory/pipeline.md"
echo "figures: $directory/pipeline.jsonl"
