"""The long way with real files: in, to tape, back, compared, with figures; then one object over 5 GiB.

Run by hand, from the repository's root:

    target/venv/bin/python compat/roundtrip.py --binary target/release/tapegate FOLDER [FOLDER ...]
"""

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import harness
from harness import MIB, MODES, in_threads, listing, past_date_rule, restored, wait_until
from report import check, same

TREE = "tree"
LARGE = "large"
DAYS = 3000
# As in production but for the waiting: packs of 1 GiB, at most.
POOL = {"pack_bytes_target": 1 << 30, "quiet_seconds": 5}
LIBRARY = {"cartridge_bytes": 100 << 30}
PART_BYTES = 64 * MIB
LARGE_BYTES = (5 << 30) + 12_345
MEMORY_BYTES_MAX = 256 * MIB
HOURS = 3600


class Figures:
    """Objects, bytes and seconds of each phase."""

    def __init__(self):
        self.rows = []

    @contextlib.contextmanager
    def phase(self, name, objects, size):
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        self.rows.append({
            "phase": name,
            "objects": objects,
            "bytes": size,
            "seconds": round(seconds, 2),
            "objects_per_second": round(objects / seconds, 1),
            "megabytes_per_second": round(size / seconds / 1e6, 1),
        })
        print(f"{name}: {self.rows[-1]}", flush=True)

    def print(self, more):
        print(json.dumps({"phases": self.rows} | more, indent=2))
        print(f"\n| phase | objects | MB | s | objects/s | MB/s |\n|{' --- |' * 6}")
        for row in self.rows:
            print(f"| {row['phase']} | {row['objects']} | {row['bytes'] / 1e6:.0f} | {row['seconds']:.1f} "
                  f"| {row['objects_per_second']:.1f} | {row['megabytes_per_second']:.1f} |")


def tree(server, folders, figures, objects_min, bytes_min):
    """The real files: `aws s3 sync` in, a rule, everything restored, `aws s3 sync` out, no difference."""
    s3 = server.s3(retries=4)
    s3.create_bucket(Bucket=TREE)
    # The cli leaves links to links; what it sends is what is compared.
    sources = {f"{number}-{Path(folder).name}": Path(folder) for number, folder in enumerate(folders)}
    files = {f"{name}/{path.relative_to(folder)}": path
             for name, folder in sources.items() for path in regular_files(folder)}
    size = sum(path.stat().st_size for path in files.values())
    check(len(files) >= objects_min and size >= bytes_min, f"only {len(files)} files of {size} bytes")
    count = len(files)
    with figures.phase("in (aws s3 sync)", count, size):
        for name, folder in sources.items():
            server.aws("s3", "sync", folder, f"s3://{TREE}/{name}", "--no-follow-symlinks", "--only-show-errors",
                       seconds=HOURS)
    before = listing(s3, TREE)
    same("keys", set(before), set(files))
    hot = server.hot_bytes()
    with figures.phase("migrated", count, size):
        harness.put_rule(s3, TREE, past_date_rule())
        after = harness.wait_archived(s3, TREE, HOURS)
    same("the listing", {key: entry[:3] for key, entry in after.items()},
         {key: entry[:3] for key, entry in before.items()})
    wait_until(lambda: server.hot_bytes() <= count * 4096, 60, "hot bytes shrank to the stubs")
    hot_after = server.hot_bytes()
    with figures.phase("restored", count, size):
        in_threads(lambda key: same("restore", harness.restore(s3, TREE, key, DAYS), 202), list(before), 16)
        for key in before:
            wait_until(lambda: restored(s3, TREE, key), HOURS, f"{key} is restored")
    out = server.folder / "out"
    with figures.phase("out (aws s3 sync)", count, size):
        server.aws("s3", "sync", f"s3://{TREE}", out, "--force-glacier-transfer", "--only-show-errors", seconds=HOURS)
    check(harness.tree_digests(out) == {name: harness.file_sha256(path) for name, path in files.items()},
          "what came out differs from what went in")
    return {
        "hot_bytes_before": hot,
        "hot_bytes_archived": hot_after,
        "store_bytes_with_copies_and_database": harness.disk_bytes(server.data / "store"),
    }


def regular_files(folder):
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names
            if not os.path.islink(os.path.join(parent, name)) and os.path.isfile(os.path.join(parent, name))]


def large(server, figures, size):
    """One object over 5 GiB in parts, to tape and back, while the server stays small."""
    s3 = server.s3(retries=2, read_timeout=600)
    s3.create_bucket(Bucket=LARGE)
    digest = hashlib.sha256()
    with figures.phase("large object in", 1, size):
        upload = s3.create_multipart_upload(Bucket=LARGE, Key="large")["UploadId"]
        parts = []
        for number, part in enumerate(pieces(size), start=1):
            digest.update(part)
            answer = s3.upload_part(Bucket=LARGE, Key="large", UploadId=upload, PartNumber=number, Body=part)
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        s3.complete_multipart_upload(
            Bucket=LARGE, Key="large", UploadId=upload, MultipartUpload={"Parts": parts})
    before = listing(s3, LARGE)["large"]
    same("size", before[0], size)
    with figures.phase("large object migrated", 1, size):
        harness.put_rule(s3, LARGE, past_date_rule())
        after = harness.wait_archived(s3, LARGE, HOURS)
    same("the listing", after["large"][:3], before[:3])
    with figures.phase("large object restored", 1, size):
        same("restore", harness.restore(s3, LARGE, "large", DAYS), 202)
        wait_until(lambda: restored(s3, LARGE, "large"), HOURS, "the large object is restored")
    seen = hashlib.sha256()
    with figures.phase("large object out", 1, size):
        for piece in s3.get_object(Bucket=LARGE, Key="large")["Body"].iter_chunks(MIB):
            seen.update(piece)
    same("digest", seen.hexdigest(), digest.hexdigest())
    peak = server.peak_memory_bytes()
    check(peak < MEMORY_BYTES_MAX, f"the server took {peak} bytes of memory")
    return {"peak_memory_bytes": peak}


def pieces(size):
    """Parts of random bytes, half of each repeated so that compression has work."""
    while size > 0:
        half = os.urandom(PART_BYTES // 2)
        part = (half + half)[:size]
        size -= len(part)
        yield part


def real_folders():
    """A toolchain's documentation and sources, and what the system has."""
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True)
    registry = Path.home() / ".cargo" / "registry" / "src"
    candidates = [Path(sysroot.stdout.strip()), registry, Path("/usr/share"), *Path("/usr/lib").glob("python3*")]
    return [folder for folder in candidates if folder.is_dir()]


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("folders", nargs="*", help="what goes in (default: a toolchain, crates, /usr/share, Python)")
    parser.add_argument("--mode", choices=MODES, default="in_place")
    parser.add_argument("--where", help="folder for the data (default: the system's temporary one)")
    parser.add_argument("--objects-min", type=int, default=10_000)
    parser.add_argument("--bytes-min", type=int, default=1 << 30)
    parser.add_argument("--large-bytes", type=int, default=LARGE_BYTES, help="0 leaves the large object out")
    parser.add_argument("--no-tree", action="store_true", help="only the large object")
    options = parser.parse_args()
    figures, more = Figures(), {"mode": options.mode}
    settings = {"store": {"pretend_remote": MODES[options.mode]}, "pool": POOL, "library": LIBRARY}
    if not options.no_tree:
        with harness.server(options.binary, parent=options.where, **settings) as server:
            folders = options.folders or real_folders()
            more |= tree(server, folders, figures, options.objects_min, options.bytes_min)
            more |= {"tree_peak_memory_bytes": server.peak_memory_bytes()}
    if options.large_bytes:
        with harness.server(options.binary, parent=options.where, **settings) as server:
            more |= large(server, figures, options.large_bytes)
    figures.print(more)


if __name__ == "__main__":
    sys.exit(main())
