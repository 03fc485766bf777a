#!/bin/sh
# What the guest runs as its first process: the modules, then one line for each step, "passed NAME" or "FAILED NAME"
# with what was said. "/init step NAME" runs one step, in a shell that ends at the first failure.
export PATH=/bin
# By their paths: busybox has programs of these names of its own, and takes them first.
tar=/bin/tar
dd=/bin/dd
lsscsi=/bin/lsscsi
# What goes to tape: some files and links, less than a cartridge holds.
files="bin/busybox bin/tar bin/sh bin/mtx library.json"

# The units come one by one while the bus is looked at.
units_are_there() {
  for _ in $(seq 100); do
    [ "$(ls /sys/class/scsi_generic 2>/dev/null | grep -c sg)" -eq 3 ] && return
    usleep 100000
  done
  cat /proc/modules
  return 1
}

# Nodes by serial number: their own numbers say nothing.
node() {
  scsi-conformance list | sed -n "s/.* $1 (.* at \([^)]*\)).*/\1/p"
}

tape() {
  ls "/sys/class/scsi_generic/$(basename "$(node "$1")")/device/scsi_tape" | sed -n 's/^\(nst[0-9]*\)$/\/dev\/\1/p'
}

discovery_agrees_with_sg_inq() {
  scsi-conformance list
  for serial in TGCHANGER1 TGDRIVE001 TGDRIVE002; do
    sg_inq --page=0x80 "$(node "$serial")" >/tmp/inquiry
    cat /tmp/inquiry
    grep "Unit serial number: *$serial" /tmp/inquiry
    $lsscsi -g >/tmp/units
    cat /tmp/units
    grep "$(node "$serial") *$" /tmp/units
  done
}

conformance() {
  scsi-conformance suite sg /library.json
}

# Moves are seen by both sides.
mtx_agrees_on_places() {
  mtx -f "$changer" status
  mtx -f "$changer" load 2 0
  mtx -f "$changer" status | grep "Data Transfer Element 0:Full (Storage Element 2 Loaded):VolumeTag *= *TGT002L8"
}

# GNU tar and the kernel's tape driver write, our driver reads.
tar_is_read_by_us() {
  mt-st -f "$tape" setblk 0
  mt-st -f "$tape" rewind
  $tar -b 128 -cf "$tape" -C / $files
  mt-st -f "$tape" rewind
  scsi-conformance read TGDRIVE001 /tmp/theirs.tar 65536
  $tar -df /tmp/theirs.tar -C /
}

# Our driver writes, GNU tar reads.
we_are_read_by_tar() {
  $tar -b 128 -cf /tmp/ours.tar -C / $files
  mt-st -f "$tape" rewind
  scsi-conformance write TGDRIVE001 /tmp/ours.tar 65536
  mt-st -f "$tape" rewind
  $tar -b 128 -df "$tape" -C /
}

# Blocks of another length, behind filemarks of both sides, by dd.
files_are_found_by_mt_and_dd() {
  $dd if=/bin/busybox of=/tmp/first bs=1000 count=700
  $dd if=/bin/busybox of=/tmp/second bs=1000 skip=700 count=300
  mt-st -f "$tape" rewind
  scsi-conformance write TGDRIVE001 /tmp/first 262144
  $dd if=/tmp/second of="$tape" bs=100000
  mt-st -f "$tape" rewind
  mt-st -f "$tape" fsf 1
  $dd if="$tape" of=/tmp/found bs=100000
  cmp /tmp/second /tmp/found
  mt-st -f "$tape" rewind
  $dd if="$tape" of=/tmp/found bs=1M
  cmp /tmp/first /tmp/found
  mt-st -f "$tape" rewind
  mt-st -f "$tape" fsf 1
  scsi-conformance read TGDRIVE001 /tmp/found 100000
  cmp /tmp/second /tmp/found
}

mtx_puts_back() {
  mtx -f "$changer" unload 2 0
  mtx -f "$changer" status | grep "Storage Element 2:Full :VolumeTag=TGT002L8"
}

settings() {
  cat <<END
data = "/tmp/data"
[[library]]
name = "main"
kind = "sg"
changer = "$1"
barcodes = ["TGT"]
END
}

# The gateway itself on these units; a changer that is not there is told by name, with those that are.
the_gateway_takes_inventory() {
  ifconfig lo 127.0.0.1 up
  settings NO-SUCH-CHANGER >/tmp/wrong.toml
  tapegate check-config --config /tmp/wrong.toml >/tmp/checked
  grep 'no changer "NO-SUCH-CHANGER"; it has TGCHANGER1' /tmp/checked
  ! tapegate serve --config /tmp/wrong.toml 2>/tmp/refused
  grep 'no changer "NO-SUCH-CHANGER"' /tmp/refused
  settings TGCHANGER1 >/tmp/right.toml
  tapegate check-config --config /tmp/right.toml
  tapegate serve --config /tmp/right.toml >/tmp/gateway.log 2>&1 &
  gateway=$!
  for _ in $(seq 600); do
    tapegate library inventory --data /tmp/data >/tmp/inventory 2>&1 && break
    usleep 100000
  done
  cat /tmp/gateway.log /tmp/inventory
  for barcode in TGT001L8 TGT006L8 TGT007L8; do grep "$barcode" /tmp/inventory; done
  tapegate drive list --data /tmp/data | grep TGDRIVE001
  # What these drives cannot be used for is said, and why; the cartridge goes back.
  ! tapegate library label TGT002L8 --data /tmp/data >/tmp/refused 2>&1
  cat /tmp/refused
  grep 'makes no second partition, which LTFS needs' /tmp/refused
  tapegate library unload TGT002L8 --data /tmp/data
  kill "$gateway"
  wait "$gateway"
}

if [ "${1-}" = step ]; then
  set -e
  "$2"
  exit
fi

step() {
  if /init step "$1" >/tmp/said 2>&1; then
    echo "passed $1"
  else
    echo "FAILED $1"
    cat /tmp/said
  fi
}

mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# In whichever order they need each other.
for _ in 1 2 3; do
  for module in /modules/*; do insmod "$module" 2>/dev/null; done
done
step units_are_there
step discovery_agrees_with_sg_inq
step conformance
changer=$(node TGCHANGER1)
tape=$(tape TGDRIVE001)
export changer tape
step mtx_agrees_on_places
step tar_is_read_by_us
step we_are_read_by_tar
step files_are_found_by_mt_and_dd
step mtx_puts_back
if [ -e /bin/tapegate ]; then step the_gateway_takes_inventory; fi
echo "the guest has ended"
poweroff -f
