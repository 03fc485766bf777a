"""What happens to the machine underneath: disk and spool full, no tape left, cartridges missing, swapped, foreign.

In each case nothing is lost, nothing else stands still, and what waited goes on once the cause is gone.
"""

import contextlib
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

from botocore.exceptions import ClientError

import harness
from harness import MIB, body, in_threads, listing, past_date_rule, refusal, restored, wait_until
from report import Failed, check, same

BUCKET = "machine"
DAYS = 30
SECONDS = 60
# The store keeps 256 MiB free for its database.
DISK_BYTES = 384 * MIB
# More than the disk holds.
OBJECTS_MAX = 500


def run(report, binary):
    """Every case, each in a server of its own; one that fails does not end the others."""
    for case in (disk_full, spool_full, no_scratch_cartridge, cartridge_missing, cartridges_swapped, cartridge_foreign):
        name = f"machine: {case.__name__.replace('_', ' ')}"

        def scenario():
            with report.step(name):
                case(binary)

        if case is disk_full and (reason := why_no_disk()):
            report.skip(name, reason)
        else:
            report.scenario(name, scenario)


# --- full ---


@contextlib.contextmanager
def small_disk():
    folder = tempfile.mkdtemp(prefix="tapegate-disk-")
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]
        done = subprocess.run(mount, capture_output=True)
        if done.returncode:
            raise OSError(done.stderr.decode(errors="replace").strip())
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)
    finally:
        os.rmdir(folder)


def why_no_disk():
    """Why a small disk cannot be made here, or None."""
    try:
        with small_disk():
            return None
    except OSError as error:
        return f"a small disk cannot be mounted: {error}"


def disk_full(binary):
    with small_disk() as disk, harness.server(binary, parent=disk) as server:
        s3 = server.s3()
        s3.create_bucket(Bucket=BUCKET)
        contents = fill_disk(s3)
        check(len(contents) >= 20, f"only {len(contents)} objects of 1 MiB fit on {DISK_BYTES} bytes")
        intact(s3, contents)
        server.restart()
        intact(s3, contents)
        same("a delete on the full disk", s3.delete_object(Bucket=BUCKET, Key="object-0")
             ["ResponseMetadata"]["HTTPStatusCode"], 204)
        contents.pop("object-0")
        # Room for the spool and the tape, which share the disk here.
        for key in list(contents)[12:]:
            s3.delete_object(Bucket=BUCKET, Key=key)
            contents.pop(key)
        wait_until(lambda: writes(s3, "again", b"again"), SECONDS, "writes are taken again")
        contents["again"] = b"again"
        to_tape_and_back(s3, contents)


def fill_disk(s3):
    """PUTs until one is refused, which must say why; gives what was acknowledged."""
    contents = {}
    for number in range(OBJECTS_MAX):
        key, data = f"object-{number}", random.Random(number).randbytes(MIB)
        try:
            s3.put_object(Bucket=BUCKET, Key=key, Body=data)
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            same("the refusal of a full disk", (status, error.response["Error"]["Code"]), (503, "ServiceUnavailable"))
            return contents
        contents[key] = data
    raise Failed(f"{OBJECTS_MAX} MiB went onto {DISK_BYTES} bytes")


def spool_full(binary):
    """More than the spool holds at a time, and one object larger than the whole spool."""
    settings = {"pool": {"pack_bytes_target": 16 * MIB, "quiet_seconds": 1}, "spool": {"bytes_max": 64 * MIB}}
    with harness.server(binary, **settings) as server:
        s3 = server.s3()
        s3.create_bucket(Bucket=BUCKET)
        contents = some_objects(80, MIB) | {"large": random.Random(99).randbytes(70 * MIB)}
        put_all(s3, contents)
        to_tape_and_back(s3, contents)


# --- cartridges ---


def no_scratch_cartridge(binary):
    """One cartridge for two pools: the second one's objects stay readable until it gets a cartridge too."""
    with harness.server(binary, library={"slots": 2}) as server:
        s3 = server.s3()
        for bucket in (BUCKET, "second"):
            s3.create_bucket(Bucket=bucket)
        contents = some_objects(10, 50_000)
        put_all(s3, contents)
        to_tape_and_back(s3, contents)
        put_all(s3, contents, "second")
        harness.put_rule(s3, "second", past_date_rule("DEEP_ARCHIVE"))
        wait_until(lambda: "EN-0102" in server.log_path.read_text(), SECONDS, "the log names the missing volume")
        intact(s3, contents, "second")
        same("classes", {entry[3] for entry in listing(s3, "second").values()}, {"STANDARD"})
        server.stop()
        with spare_cartridges(binary) as spares:
            shutil.copytree(blank(spares), server.cartridges / "TG0900L9")
        server.start()
        harness.wait_archived(s3, "second", SECONDS, "DEEP_ARCHIVE")
        in_threads(lambda key: read_back(s3, "second", key, contents[key]), list(contents))


def cartridge_missing(binary):
    with archived_server(binary) as (server, s3, contents):
        server.stop()
        away = [(folder, server.folder / folder.name) for folder in written(server)]
        check(away, "no cartridge holds data")
        for folder, place in away:
            folder.rename(place)
        server.start()
        for key in contents:
            same("a restore meanwhile", harness.restore(s3, BUCKET, key, DAYS), 202)
        goes_on(s3)
        for key in contents:
            same(f"GET of {key}", refusal(s3.get_object, Bucket=BUCKET, Key=key)[:2], (403, "InvalidObjectState"))
        server.stop()
        for folder, place in away:
            place.rename(folder)
        server.start()
        in_threads(lambda key: read_back(s3, BUCKET, key, contents[key]), list(contents))


def cartridges_swapped(binary):
    """Two labels change places: the wrong tape is never read for the right one, nor written."""
    with archived_server(binary) as (server, s3, contents):
        server.stop()
        full = written(server)[0]
        other = next(folder for folder in sorted(server.cartridges.iterdir()) if folder not in written(server))
        exchange(full, other)
        before = harness.tree_digests(other)
        server.start()
        for key in contents:
            same("a restore meanwhile", harness.restore(s3, BUCKET, key, DAYS), 202)
        goes_on(s3)
        for key, data in contents.items():
            # A library may find the right tape by what is written on it; it may not give anything else.
            if restored(s3, BUCKET, key):
                check(body(s3, BUCKET, key) == data, f"other bytes of {key}")
        server.stop()
        same_tape(other, before)
        exchange(full, other)
        server.start()
        in_threads(lambda key: read_back(s3, BUCKET, key, contents[key]), list(contents))


def cartridge_foreign(binary):
    """A cartridge of another installation is listed, and left as it is."""
    with spare_cartridges(binary) as spares, archived_server(binary, library={"slots": 3}) as (server, s3, contents):
        server.stop()
        foreign = server.cartridges / "TG0800L9"
        shutil.copytree(next(folder for folder in sorted(spares.iterdir()) if holds_data(folder)), foreign)
        before = harness.tree_digests(foreign)
        server.start()
        put_all(s3, some_objects(5, 40_000, "more"))
        harness.wait_archived(s3, BUCKET, SECONDS)
        check("TG0800L9" not in server.command("volume", "list", "--data", server.data, "--admin",
                                               f"127.0.0.1:{server.admin_port}"), "a foreign cartridge became a volume")
        check("TG0800L9" in server.command("library", "inventory", "--data", server.data, "--admin",
                                           f"127.0.0.1:{server.admin_port}"), "a foreign cartridge is not listed")
        in_threads(lambda key: read_back(s3, BUCKET, key, contents[key]), list(contents))
        server.stop()
        same_tape(foreign, before)
        server.start()


@contextlib.contextmanager
def archived_server(binary, **settings):
    """A server whose objects are all on tape and nowhere else."""
    with harness.server(binary, **settings) as server:
        s3 = server.s3()
        s3.create_bucket(Bucket=BUCKET)
        contents = some_objects(10, 60_000)
        put_all(s3, contents)
        harness.put_rule(s3, BUCKET, past_date_rule())
        harness.wait_archived(s3, BUCKET, SECONDS)
        yield server, s3, contents


@contextlib.contextmanager
def spare_cartridges(binary):
    """The cartridges of another installation, which is stopped: some labelled, some blank."""
    with harness.server(binary) as other:
        wait_until(lambda: written(other), SECONDS, "the other installation labelled a cartridge")
        other.stop()
        yield other.cartridges


def holds_data(folder):
    return (folder / "partition-1.data").stat().st_size > 0


def written(server):
    """Folders of the cartridges with the most data, which hold the objects; labels alone are short."""
    sizes = {folder: (folder / "partition-1.data").stat().st_size for folder in server.cartridges.iterdir()}
    largest = max(sizes.values())
    return sorted(folder for folder, size in sizes.items() if largest and size == largest)


def blank(cartridges):
    return next(folder for folder in sorted(cartridges.iterdir()) if not holds_data(folder))


def exchange(one, other):
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def same_tape(folder, before):
    """The records are what they were; the cartridge's memory counts its loads."""
    after = harness.tree_digests(folder)
    for name in ("partition-0.data", "partition-1.data"):
        same(f"{name} of {Path(folder).name}", after[name], before[name])


# --- objects ---


def some_objects(count, size, prefix="object"):
    return {f"{prefix}-{number}": random.Random(f"{prefix}{number}").randbytes(size) for number in range(count)}


def put_all(s3, contents, bucket=BUCKET):
    in_threads(lambda key: s3.put_object(Bucket=bucket, Key=key, Body=contents[key]), list(contents))


def intact(s3, contents, bucket=BUCKET):
    same("keys", set(listing(s3, bucket)), set(contents))
    for key, data in contents.items():
        check(body(s3, bucket, key) == data, f"other bytes of {key}")


def writes(s3, key, data):
    try:
        s3.put_object(Bucket=BUCKET, Key=key, Body=data)
    except ClientError:
        return False
    return True


def to_tape_and_back(s3, contents):
    harness.put_rule(s3, BUCKET, past_date_rule())
    harness.wait_archived(s3, BUCKET, SECONDS)
    same("keys", set(listing(s3, BUCKET)), set(contents))
    in_threads(lambda key: read_back(s3, BUCKET, key, contents[key]), list(contents))


def read_back(s3, bucket, key, data):
    """Restores unless that is under way, waits, compares."""
    with contextlib.suppress(ClientError):
        harness.restore(s3, bucket, key, DAYS)
    wait_until(lambda: restored(s3, bucket, key), SECONDS, f"{key} is restored")
    check(body(s3, bucket, key) == data, f"other bytes of {key}")


def goes_on(s3):
    """New objects are written, archived on another tape, and read back from it."""
    s3.create_bucket(Bucket="goes-on")
    contents = some_objects(3, 20_000)
    put_all(s3, contents, "goes-on")
    intact(s3, contents, "goes-on")
    harness.put_rule(s3, "goes-on", past_date_rule())
    harness.wait_archived(s3, "goes-on", SECONDS)
    in_threads(lambda key: read_back(s3, "goes-on", key, contents[key]), list(contents))
