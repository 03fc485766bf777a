#!/usr/bin/env bash
# What the gateway costs in front of a store that is not ours, beside nginx, haproxy and s3s-proxy in front of the same
# stub store, in one run of about ten minutes.
#   tests/bench/passthrough.sh [--only NAME[,NAME]] [--rounds N] [--seconds S] [--size small|large]
# Names: direct, nginx, haproxy, s3s-proxy, tapegate, tapegate-managed.
# BENCH_DIR: where figures and logs go (default: a fresh directory under target/): figures.jsonl, table.md.
# BENCH_BINARIES: a directory with the binaries tapegate and bench; nothing is built then.
# S3S_PROXY: the binary of s3s-proxy; without it the crate is built once into target/s3s-proxy.
# nginx and haproxy are installed from Debian when they are missing. Everything listens on loopback and is ended.
set -euo pipefail
cd "$(dirname "$0")/../.."

wanted=direct,nginx,haproxy,s3s-proxy,tapegate,tapegate-managed
arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    --only) wanted=$2 ;;
    --rounds | --seconds | --size) arguments+=("$1" "$2") ;;
    *) echo "usage: $0 [--only NAME[,NAME]] [--rounds N] [--seconds S] [--size small|large]" >&2; exit 2 ;;
  esac
  shift 2
done
is_wanted() { case ",$wanted," in *",$1,"*) ;; *) return 1 ;; esac; }

missing=()
for package in nginx haproxy; do
  is_wanted "$package" && ! [ -x "/usr/sbin/$package" ] && missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
binaries=${BENCH_BINARIES:-target/release}
if [ -z "${BENCH_BINARIES:-}" ]; then
  cargo build --release --locked -p tapegate -p bench
fi
s3s_proxy=${S3S_PROXY:-target/s3s-proxy/bin/s3s-proxy}
if is_wanted s3s-proxy && ! [ -x "$s3s_proxy" ]; then
  cargo install --locked s3s-proxy@0.14.1 --root target/s3s-proxy
fi
mkdir -p target
directory=${BENCH_DIR:-$(mktemp -d "$PWD/target/passthrough.XXXXXX")}
mkdir -p "$directory"

pids=()
finish() {
  for pid in "${pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  wait || true
  rm -rf "$directory"/data-* "$directory"/nginx-*
}
trap finish EXIT

# The same identity on both sides, so that every server takes the same requests.
export TAPEGATE_ACCESS_KEY=BENCHBENCHBENCHBENCH
export TAPEGATE_SECRET_KEY=bench-secret-bench-secret-bench-secret-0
mapfile -t ports < <("$binaries/bench" ports 8)
stub=127.0.0.1:${ports[0]}
doors=()
# start NAME ENDPOINT COMMAND...: runs a server and waits until it listens.
start() {
  local name=$1 endpoint=$2
  shift 2
  "$@" > "$directory/$name.out" 2>&1 &
  local pid=$!
  pids+=("$pid")
  for _ in $(seq 200); do
    if (: < "/dev/tcp/${endpoint%:*}/${endpoint#*:}") 2>/dev/null; then
      doors+=(--door "$name=$endpoint=$pid")
      return
    fi
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
  done
  echo "$name did not start:" >&2
  tail -n 20 "$directory/$name.out" >&2
  exit 1
}

start direct "$stub" "$binaries/bench" stub "$stub"
is_wanted direct || doors=()

if is_wanted nginx; then
  mkdir -p "$directory"/nginx-{body,proxy,fastcgi,uwsgi,scgi}
  # One process, bodies streamed both ways, connections to the store kept, no log.
  cat > "$directory/nginx.conf" <<CONF
daemon off; master_process off; pid $directory/nginx.pid; error_log $directory/nginx.err;
events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 1000000000; client_max_body_size 0; tcp_nodelay on;
  client_body_temp_path $directory/nginx-body; proxy_temp_path $directory/nginx-proxy;
  fastcgi_temp_path $directory/nginx-fastcgi; uwsgi_temp_path $directory/nginx-uwsgi; scgi_temp_path $directory/nginx-scgi;
  upstream store { server $stub; keepalive 256; keepalive_requests 1000000000; }
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host \$http_host;
  proxy_request_buffering off; proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 128k;
  client_body_buffer_size 64k;
  server { listen 127.0.0.1:${ports[1]}; location / { proxy_pass http://store; } }
}
CONF
  start nginx "127.0.0.1:${ports[1]}" /usr/sbin/nginx -c "$directory/nginx.conf"
fi
if is_wanted haproxy; then
  cat > "$directory/haproxy.cfg" <<CONF
global
  nbthread 1
  maxconn 4096
  tune.bufsize 65536
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend door
  bind 127.0.0.1:${ports[2]}
  default_backend store
backend store
  server stub $stub
CONF
  start haproxy "127.0.0.1:${ports[2]}" /usr/sbin/haproxy -db -f "$directory/haproxy.cfg"
fi
if is_wanted s3s-proxy; then
  start s3s-proxy "127.0.0.1:${ports[3]}" env AWS_ACCESS_KEY_ID="$TAPEGATE_ACCESS_KEY" \
    AWS_SECRET_ACCESS_KEY="$TAPEGATE_SECRET_KEY" AWS_REGION=us-east-1 RUST_LOG=error \
    "$s3s_proxy" --host 127.0.0.1 --port "${ports[3]}" --endpoint-url "http://$stub"
fi
# gateway NAME PORT ADMIN_PORT CONFIG: the gateway in front of the stub, with CONFIG besides.
gateway() {
  local name=$1 port=$2 admin_port=$3
  cat > "$directory/$name.toml" <<TOML
[store]
kind = "remote"
endpoint = "http://$stub"
access_key_id = "SERVICESERVICESERVIC"
secret_access_key = "service-secret-service-secret-service-00"
$4
TOML
  TAPEGATE_LOG=${TAPEGATE_LOG:-warn} start "$name" "127.0.0.1:$port" "$binaries/tapegate" serve \
    --config "$directory/$name.toml" --data "$directory/data-$name" \
    --listen "127.0.0.1:$port" --admin-listen "127.0.0.1:$admin_port"
}
is_wanted tapegate && gateway tapegate "${ports[4]}" "${ports[5]}" ""
is_wanted tapegate-managed && gateway tapegate-managed "${ports[6]}" "${ports[7]}" '[bucket."bench"]'

"$binaries/bench" pass "${doors[@]}" --lines "$directory/figures.jsonl" "${arguments[@]}" | tee "$directory/table.md"
echo "figures: $directory/figures.jsonl"
