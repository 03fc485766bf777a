#!/usr/bin/env bash
# Measures the real server in one go, in about two minutes, with the limits of this machine beside its figures.
#   tests/bench/run.sh [--only limits|cells|tape] [--small N] [--large N]
# BENCH_DIR: where data and figures go (default: a fresh directory under target/). The figures stay in its
# figures.jsonl and table.md; the data is removed.
# BENCH_BINARIES: a directory with the binaries tapegate and bench; nothing is built then.
set -euo pipefail
cd "$(dirname "$0")/../.."

binaries=${BENCH_BINARIES:-target/release}
if [ -z "${BENCH_BINARIES:-}" ]; then
  cargo build --release --locked -p tapegate -p bench
fi
mkdir -p target
directory=${BENCH_DIR:-$(mktemp -d "$PWD/target/bench.XXXXXX")}
mkdir -p "$directory"

server=
finish() {
  if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null || true
    wait "$server" || true
  fi
  rm -rf "$directory/data" "$directory/limits"
}
trap finish EXIT

export TAPEGATE_ACCESS_KEY=BENCHBENCHBENCHBENCH
export TAPEGATE_SECRET_KEY=bench-secret-bench-secret-bench-secret-0
{ read -r port; read -r admin_port; } < <("$binaries/bench" ports 2)

# Instant timing, and the waits that are there for people shortened: what is left is work.
cat > "$directory/tapegate.toml" <<'TOML'
[[library]]
name = "main"
kind = "virtual"

[[pool]]
name = "glacier"
library = "main"
quiet_seconds = 1

[class.GLACIER]
pool = "glacier"

[testing]
lifecycle_interval_seconds = 1
grace_seconds = 0
virtual_time_scale = 0.0
TOML

TAPEGATE_LOG=${TAPEGATE_LOG:-warn} "$binaries/tapegate" serve \
  --config "$directory/tapegate.toml" --data "$directory/data" \
  --listen "127.0.0.1:$port" --admin-listen "127.0.0.1:$admin_port" \
  > "$directory/server.out" 2> "$directory/server.err" &
server=$!

if ! "$binaries/bench" run --endpoint "127.0.0.1:$port" --pid "$server" --folder "$directory/limits" \
  --lines "$directory/figures.jsonl" "$@" | tee "$directory/table.md"; then
  echo "the server said:" >&2
  tail -n 40 "$directory/server.err" >&2
  exit 1
fi
echo "figures: $directory/figures.jsonl"
