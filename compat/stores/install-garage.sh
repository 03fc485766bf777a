#!/usr/bin/env bash
# Builds Garage once, below the folder given (default: where the tests look for it). Takes ten minutes on two cores;
# does nothing when it is there, or when GARAGE names one.
set -euo pipefail
version=2.5.0
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)/target/garage}

[ -z "${GARAGE:-}" ] || exit 0
[ ! -x "$root/bin/garage" ] || exit 0
# A process of its own: nothing of it is linked into the product.
cargo install garage --version "$version" --locked --no-default-features --features bundled-libs,lmdb --root "$root"
