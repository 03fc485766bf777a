"""A tapegate of one's own: started, waited for, killed and looked into; and the clients that talk to it."""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from report import Failed, Report, check

ACCESS_KEY = "TGCOMPATROOT00000001"
SECRET_KEY = "compat-secret-key-of-forty-characters-00"
REGION = "us-east-1"
READY_SECONDS = 20
DRAIN_SECONDS = 15
POLL_SECONDS = 0.05
LOG_TAIL_LINES = 60

MIB = 1 << 20
VARIES = "varies_by_storage_class"


# --- waiting ---


def wait_until(condition, seconds, what):
    """Polls `condition` until it gives something true, which is returned; fails after `seconds` with `what`, which may
    be a function."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"after {seconds} s still not: {what() if callable(what) else what}")
        time.sleep(POLL_SECONDS)


def in_threads(function, items, threads=8):
    """`function` of every item, several at a time; results in order; the first error is raised."""
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, items))


# --- the server ---


class Server:
    """One data folder, one configuration, and the process that serves them."""

    def __init__(self, binary, folder, **settings):
        """`settings` are sections of the configuration to change: testing={...}, library={...}, pool={...},
        store={...}, spool={...}, lifecycle={...}, bucket={name: {...}}; more="..." is put at its end."""
        self.binary = str(Path(binary).resolve())
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.log_path = self.folder / "log"
        self.port, self.admin_port = free_ports(2)
        self.settings = settings
        self.process = None
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def cartridges(self):
        return self.data / "library-main" / "cartridges"

    def environment(self):
        return os.environ | {
            "TAPEGATE_ACCESS_KEY": ACCESS_KEY,
            "TAPEGATE_SECRET_KEY": SECRET_KEY,
            "TAPEGATE_LOG": os.environ.get("TAPEGATE_LOG", "info"),
        }

    def start(self):
        """Starts the process and waits until both listeners answer."""
        check(self.process is None, "started twice")
        config = self.folder / "tapegate.toml"
        config.write_text(configuration(self.settings))
        command = [self.binary, "serve", "--config", str(config), "--data", str(self.data)]
        command += ["--listen", f"127.0.0.1:{self.port}", "--admin-listen", f"127.0.0.1:{self.admin_port}"]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment()
            )
        wait_until(self._ready, READY_SECONDS, "the server is ready")
        return self

    def _ready(self):
        check(self.process.poll() is None, f"the server ended with {self.process.returncode} instead of serving")
        return answers(self.admin_port, "/health") == 200 and answers(self.port, "/") is not None

    def stop(self):
        """Asks the process to end; fails unless it exits 0 in time."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise Failed(f"SIGTERM did not end the server within {DRAIN_SECONDS} s") from error
        check(code == 0, f"the server ended with {code} after SIGTERM")

    def kill(self):
        """kill -9."""
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def restart(self):
        self.stop()
        return self.start()

    def close(self):
        """Ends the process whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self.process = None

    # --- looking in ---

    def command(self, *arguments, code=0):
        """Runs a subcommand of the binary; fails unless it exits with `code`; gives what it printed."""
        done = subprocess.run(
            [self.binary, *map(str, arguments)], capture_output=True, env=self.environment(), timeout=300
        )
        told = done.stderr.decode(errors="replace")
        check(done.returncode == code, f"tapegate {arguments}: exit code {done.returncode}, not {code}: {told}")
        return done.stdout.decode()

    def admin(self, *arguments):
        """A listing of the running process (or, stopped, of its data folder), as JSON."""
        place = ["--data", self.data, "--admin", f"127.0.0.1:{self.admin_port}"]
        return json.loads(self.command(*arguments, *place, "--json"))

    def hot_bytes(self):
        """Bytes on disk of object data in the store; its database is not counted."""
        return disk_bytes(self.data / "store", leave_out=".redb")

    def peak_memory_bytes(self):
        """Largest resident set of the process so far."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise Failed("the process tells no VmHWM")

    def log_tail(self):
        with contextlib.suppress(FileNotFoundError):
            lines = self.log_path.read_text(errors="replace").splitlines()
            return "\n".join(lines[-LOG_TAIL_LINES:])
        return ""

    # --- talking to it ---

    def s3(self, retries=0, secret=SECRET_KEY, access_key=ACCESS_KEY, region=REGION, read_timeout=60, **more):
        """A boto3 client; without retries unless told."""
        config = Config(
            region_name=region,
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            retries={"total_max_attempts": retries + 1, "mode": "standard"},
            max_pool_connections=64,
            connect_timeout=5,
            read_timeout=read_timeout,
            **more,
        )
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            config=config,
        )

    def aws(self, *arguments, code=0, seconds=600):
        """Runs the aws cli; fails unless it exits with `code`; gives what it printed, errors included."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment |= {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        tool = Path(sys.executable).with_name("aws")
        command = [str(tool), "--endpoint-url", self.endpoint, *map(str, arguments)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, timeout=seconds
        )
        told = done.stdout.decode(errors="replace")
        check(done.returncode == code, f"aws {arguments}: exit code {done.returncode}, not {code}:\n{told[-2000:]}")
        return told


@contextlib.contextmanager
def server(binary, parent=None, started=True, **settings):
    """A server in a folder of its own, which goes with it. On failure the end of its log is printed first."""
    folder = Path(tempfile.mkdtemp(prefix="tapegate-compat-", dir=parent))
    one = Server(binary, folder, **settings)
    try:
        if started:
            one.start()
        yield one
    except BaseException:
        print(f"--- the end of the server's log ---\n{one.log_tail()}\n---", flush=True)
        raise
    finally:
        one.close()
        if os.environ.get("TAPEGATE_COMPAT_KEEP"):
            print(f"kept: {folder}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def configuration(settings):
    """The configuration file: quick defaults for tests, changed by `settings`."""
    sections = {
        "store": {"kind": "embedded", "pretend_remote": False},
        "spool": {},
        "lifecycle": {},
        "testing": {"day_seconds": 3600, "lifecycle_interval_seconds": 1, "grace_seconds": 0},
    }
    if settings.get("store", {}).get("kind") == "remote":
        sections["store"] = {}
    for name in sections:
        sections[name] |= settings.get(name, {})
    library = {"name": "main", "kind": "virtual", "drives": 2, "slots": 24, "mail_slots": 4}
    library |= {"cartridge_bytes": 4 << 30} | settings.get("library", {})
    pool = {"library": "main", "sealed": False, "copies": [], "pack_bytes_target": 8 * MIB, "quiet_seconds": 1}
    pool |= settings.get("pool", {})
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *assignments(values)]
    for name, values in settings.get("bucket", {}).items():
        lines += [f'[bucket."{name}"]', *assignments(values)]
    lines += ["[[library]]", *assignments(library)]
    for name, storage_class in (("glacier", "GLACIER"), ("deep", "DEEP_ARCHIVE")):
        lines += ["[[pool]]", *assignments({"name": name} | pool), f"[class.{storage_class}]", f'pool = "{name}"']
    return "\n".join(lines) + "\n" + settings.get("more", "")


def assignments(values):
    # JSON's scalars and lists of them are TOML's too.
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def answers(port, path):
    """The status of a plain GET, or None when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


# --- what clients ask ---


def past_date_rule(storage_class="GLACIER", prefix=""):
    """A rule by which everything below `prefix` is due at once."""
    return {
        "Rules": [
            {
                "ID": f"to-{storage_class.lower()}",
                "Status": "Enabled",
                "Filter": {"Prefix": prefix},
                "Transitions": [{"Date": "2020-01-01T00:00:00Z", "StorageClass": storage_class}],
            }
        ]
    }


def put_rule(s3, bucket, rule):
    """Sets the rule, for small objects too."""
    answer = s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration=rule, TransitionDefaultMinimumObjectSize=VARIES
    )
    check(answer["TransitionDefaultMinimumObjectSize"] == VARIES, "the size setting is not echoed")


def listing(s3, bucket, **more):
    """Every entry of the bucket by key: (size, etag, last modified, class)."""
    entries = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **more):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            check(key not in entries, f"{key!r} is listed twice")
            entries[key] = (entry["Size"], entry["ETag"], entry["LastModified"], entry["StorageClass"])
    return entries


def wait_archived(s3, bucket, seconds, storage_class="GLACIER"):
    """Waits until every listed object is in `storage_class`; gives the listing."""

    def all_there():
        entries = listing(s3, bucket)
        return entries if all(entry[3] == storage_class for entry in entries.values()) else None

    return wait_until(all_there, seconds, f"everything in {bucket} is {storage_class}")


def all_told(status):
    """Whether tape was told of everything that clients did: nothing is to be looked at, and what was seen is told."""
    return status["touched"] == 0 and status["untold"] == 0


def restore(s3, bucket, key, days):
    """Asks for a restore; gives the status (202 accepted, 200 there already)."""
    answer = s3.restore_object(Bucket=bucket, Key=key, RestoreRequest={"Days": days})
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def restored(s3, bucket, key):
    """True when a restored copy can be read now."""
    return 'ongoing-request="false"' in s3.head_object(Bucket=bucket, Key=key).get("Restore", "")


def refusal(call, **arguments):
    """(status, code, the whole Error element) of a call that must be refused."""
    try:
        call(**arguments)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status, error.response["Error"]["Code"], error.response["Error"]
    raise Failed(f"{call.__name__} of {arguments.get('Key', arguments)!r} was not refused")


def status_of(error):
    """The HTTP status of a refusal; None for an error without an answer."""
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    check(isinstance(error, (BotoCoreError, OSError)), f"not a client's error: {error!r}")
    return None


def body(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


# --- bytes ---


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def file_sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def tree_digests(folder):
    """SHA-256 of every regular file by relative path."""
    folder = Path(folder)
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(folder)): file_sha256(path) for path in files}


def disk_bytes(folder, leave_out=None):
    """Bytes the regular files below `folder` take on disk; files may come and go meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            if leave_out is None or not name.endswith(leave_out):
                with contextlib.suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(parent, name)).st_blocks * 512
    return total


# --- command lines ---


def arguments(parser):
    """The arguments every script takes. A script asked to end tidies up first."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to end"))
    parser.add_argument("--binary", default="target/release/tapegate", help="the tapegate to try")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run (default: a new seed, printed)")
    return parser


def seed_of(options):
    """The seed asked for, or a new one; printed."""
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"        seed {seed}", flush=True)
    return seed


def main_by_mode(description, run, rounds=None):
    """The whole command line of a script that tries both modes: `run(report, binary, mode, [rounds,] seed)`."""
    parser = arguments(argparse.ArgumentParser(description=description))
    parser.add_argument("--mode", choices=MODES, action="append", help="default: both")
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help=f"in each mode (default: {rounds})")
    options = parser.parse_args()
    how_often = [] if rounds is None else [options.rounds]
    seed, report = seed_of(options), Report()
    for mode in options.mode or MODES:
        run(report, options.binary, mode, *how_often, seed)
    sys.exit(report.end())


# In place, and as on a store that only knows PUT.
MODES = {"in_place": False, "put": True}
