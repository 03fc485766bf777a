"""Ceph's S3 gateway with the least behind it: one monitor, one storage daemon, one radosgw."""

import json
import secrets
import shutil
import uuid
from pathlib import Path

from harness import answers, free_ports, wait_until
from report import Failed, check
from stores.account import Account, away
from stores.process import Process, State, run, succeeds

READY_SECONDS = 120
PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")
INSTALL = Path(__file__).with_name("install-ceph.sh")
REGION = "us-east-1"

# Authentication stays on: without keys radosgw retries for a minute before it serves. Nagle's algorithm is off: with it
# every small answer takes 40 ms. One replica on one daemon needs the warnings about that to be no errors.
CONFIGURATION = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]
public network = 127.0.0.0/8
cluster network = 127.0.0.0/8
ms bind ipv6 = false
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
crash dir = {folder}/run
log file = {folder}/log/$name.log
log to stderr = false
mon cluster log file = {folder}/log/cluster.log
keyring = {folder}/keyring
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon allow pool delete = true
mon max pg per osd = 2000
mon data avail warn = 1
mon data avail crit = 1
[mon.a]
mon data = {folder}/mon
[osd.0]
osd data = {folder}/osd
osd objectstore = {kind}
memstore device bytes = {size_bytes}
bluestore block create = true
bluestore block size = {size_bytes}
osd memory target = 1073741824
osd op num shards = 2
public addr = 127.0.0.1
cluster addr = 127.0.0.1
[client.rgw.a]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
{more}
"""


class CephRgw:
    """Starts on entry, ends on exit. `kind` is "memstore" (in memory) or "bluestore" (a sparse file, survives its
    daemons); `glacier` adds a storage class of that name; with `lifecycle_day_seconds` the store's own lifecycle takes
    that for a day."""

    name = "ceph"

    def __init__(self, kind="memstore", size_bytes=8 << 30, glacier=False, lifecycle_day_seconds=None):
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        check(not missing, f"{', '.join(missing)} not found; {INSTALL.name} installs what is missing")
        self.kind, self.size_bytes, self.glacier = kind, size_bytes, glacier
        self.lifecycle_day_seconds = lifecycle_day_seconds
        self.state = None
        self.daemons = []
        self.radosgw = None
        self.accounts = 0

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.state = State(self.name)
        try:
            self._configure()
            self._start_monitor()
            self._start_storage()
            if self.glacier:
                self._add_glacier()
            self.serve()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # Nothing is to survive, so nobody is given the time to tidy up.
        if self.radosgw is not None:
            self.stop_serving(kill=True)
        while self.daemons:
            self.daemons.pop().kill()
        self.state.remove()

    # --- the endpoint ---

    def serve(self):
        """Starts radosgw and waits until it answers."""
        check(self.radosgw is None, "radosgw serves already")
        self.radosgw = self._spawn("radosgw", "-n", "client.rgw.a", "-f")
        self._wait(self.radosgw, lambda: answers(self.port, "/") == 200, "radosgw answers")

    def stop_serving(self, kill=False):
        """Ends radosgw, with SIGTERM or with `kill` at once; what is stored stays."""
        radosgw, self.radosgw = self.radosgw, None
        if kill:
            radosgw.kill()
        else:
            radosgw.end()

    def away(self, kill=False):
        return away(self, kill)

    def account(self, apart=True):
        """A user, `apart` in a tenant of its own. Nobody's requests only reach buckets of users that are not apart,
        who share the names of buckets."""
        self.accounts += 1
        access_key, secret = f"CEPH{secrets.token_hex(8).upper()}", secrets.token_hex(20)
        who = f"tester{self.accounts:03}"
        self._admin("user", "create", f"--uid={who}", "--display-name=tester", f"--access-key={access_key}",
                    f"--secret-key={secret}", *([f"--tenant={who}"] if apart else []))
        return Account(self.endpoint, access_key, secret, REGION)

    # --- the way there ---

    def _configure(self):
        folder = self.state.folder
        for name in ("mon", "osd", "rgw", "run", "log"):
            (folder / name).mkdir()
        self.port, mon_v1, mon_v2 = free_ports(3)
        self.fsid = str(uuid.uuid4())
        self.addresses = f"[v2:127.0.0.1:{mon_v2},v1:127.0.0.1:{mon_v1}]"
        day = self.lifecycle_day_seconds
        self.file = folder / "ceph.conf"
        self.file.write_text(CONFIGURATION.format(
            folder=folder, fsid=self.fsid, mon_v1=mon_v1, mon_v2=mon_v2, port=self.port, kind=self.kind,
            size_bytes=self.size_bytes, more=f"rgw lc debug interval = {day}" if day else ""))
        self.keyring = folder / "keyring"

    def _start_monitor(self):
        run("ceph-authtool", "--create-keyring", self.keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        run("ceph-authtool", self.keyring, "--gen-key", "-n", "client.admin", "--cap", "mon", "allow *",
            "--cap", "osd", "allow *")
        map_file = self.state.folder / "monmap"
        run("monmaptool", "--create", "--fsid", self.fsid, "--addv", "a", self.addresses, map_file)
        run("ceph-mon", "-c", self.file, "-i", "a", "--mkfs", "--monmap", map_file, "--keyring", self.keyring)
        monitor = self._spawn("ceph-mon", "-i", "a", "-f")
        self.daemons.append(monitor)
        self._wait(monitor, lambda: succeeds("ceph", "-c", self.file, "--connect-timeout", "2", "mon", "stat"),
                   "the monitor is in quorum")

    def _start_storage(self):
        identity = str(uuid.uuid4())
        key = run("ceph-authtool", "--gen-print-key").strip()
        number = self._ceph("osd", "new", identity, "-i", "-", text=json.dumps({"cephx_secret": key})).strip()
        check(number == "0", f"the first storage daemon is number {number}")
        run("ceph-authtool", self.keyring, "-n", "osd.0", "-a", key)
        granted = self._ceph("auth", "get-or-create", "client.rgw.a", "mon", "allow rw", "osd", "allow rwx")
        with open(self.keyring, "a") as keyring:
            keyring.write(granted)
        run("ceph-osd", "-c", self.file, "-i", "0", "--mkfs", "--osd-uuid", identity)
        storage = self._spawn("ceph-osd", "-i", "0", "-f")
        self.daemons.append(storage)
        self._wait(storage, lambda: json.loads(self._ceph("osd", "stat", "-f", "json"))["num_up_osds"] == 1,
                   "the storage daemon is up")

    def _add_glacier(self):
        # A class can only be added to a zone; the first command of all makes the default one.
        self._admin("user", "list")
        added = ("--placement-id=default-placement", "--storage-class=GLACIER")
        self._admin("zonegroup", "placement", "add", "--rgw-zonegroup=default", *added)
        self._admin("zone", "placement", "add", "--rgw-zone=default", *added,
                    "--data-pool=default.rgw.glacier.data")

    def _spawn(self, program, *arguments):
        return Process([program, "-c", self.file, *arguments], self.state.folder / "log" / f"{program}.out")

    def _ceph(self, *arguments, text=None):
        return run("ceph", "-c", self.file, *arguments, text=text)

    def _admin(self, *arguments):
        return run("radosgw-admin", "-c", self.file, *arguments)

    def _wait(self, daemon, condition, what):
        def met():
            daemon.must_run()
            return condition()

        try:
            wait_until(met, READY_SECONDS, what)
        except Failed:
            for log in sorted((self.state.folder / "log").glob("*.log")):
                print(f"--- the end of {log.name} ---", *log.read_text(errors="replace").splitlines()[-10:],
                      sep="\n", flush=True)
            raise
