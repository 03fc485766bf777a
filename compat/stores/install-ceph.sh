#!/usr/bin/env bash
# The smallest Ceph that makes an S3 gateway, from Debian's own packages. Starts nothing; does nothing when it is there.
set -euo pipefail

# The daemons themselves decide: a package can be there and broken, or the programs there without the package.
complete=1
for program in ceph-mon ceph-osd radosgw radosgw-admin ceph ceph-authtool monmaptool; do
  command -v "$program" >/dev/null || complete=0
done
[ "$complete" -eq 0 ] || exit 0

sudo=$([ "$(id -u)" -eq 0 ] || echo sudo)
export DEBIAN_FRONTEND=noninteractive

# Debian starts what it installs; this file, for the time of the installation, forbids that.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '$sudo rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
  $sudo chmod 755 "$policy"
fi
apt="$sudo apt-get -o DPkg::Lock::Timeout=300"
$apt update -qq
$apt install -y -qq --no-install-recommends ceph-mon ceph-osd radosgw ceph-common >/dev/null
