"""One large object over many small cartridges, in two copies: some fail while it is written, some while it is read, and one is
gone by then. It comes back whole.

Short, it has 400 MiB; `--size` takes more, as the 40 GiB of the long lane.
"""

import argparse
import hashlib
import random
import shutil
import sys
import tempfile

import harness
from harness import MIB, past_date_rule, restore, restored, wait_until
from report import Report, check, same

BUCKET, KEY = "large", "over/many/cartridges"
DAYS = 300
HOURS = 3600
SHORT, LONG = 400 * MIB, 40 << 30
# Of a tape.
BLOCK = 512 << 10
PARTS = 40
# Of each copy: so many segments, and so many cartridges at least.
SEGMENTS, CARTRIDGES = 160, 5
SECOND = """
[[library]]
name = "second"
kind = "virtual"
drives = 2
slots = 24
mail_slots = 0
cartridge_bytes = {cartridge}
[[pool]]
name = "second"
library = "second"
pack_bytes_target = {segment}
quiet_seconds = 1
verify = "deferred"
"""


class Body:
    """The object's bytes: every MiB another one, of which so much is noise as cartridges are to hold."""

    def __init__(self, size, seed):
        # Parts of whole MiB.
        self.size, self.sent = size - size % (PARTS * MIB), hashlib.sha256()
        self.noise = random.Random(seed).randbytes(16 * MIB)
        # Of 40 GiB a sixteenth: the disk that this is run on holds it, and cartridges.
        self.share = MIB if size <= 4 << 30 else MIB // 16

    def on_tape(self):
        return self.size * self.share // MIB

    def piece(self, number):
        at = number * (MIB + 7_919) % (len(self.noise) - self.share)
        start = number.to_bytes(8)
        return start + (self.noise[at : at + self.share] * (MIB // self.share))[len(start) :]

    def parts(self):
        each = self.size // PARTS // MIB
        for part in range(PARTS):
            data = b"".join(map(self.piece, range(part * each, (part + 1) * each)))
            self.sent.update(data)
            yield part + 1, data


def run(report, binary, size, seed):
    """Writes, loses and reads back an object of `size` bytes."""
    body = Body(size, seed)
    segment, cartridge = body.size // SEGMENTS, body.on_tape() // (CARTRIDGES + 1)
    # In the middle of the first cartridge, in either drive.
    blocks = cartridge // BLOCK
    faults = [f"main drive {drive} write_6 fail 3/0C/00 after {blocks // 2}" for drive in (0, 1)]
    settings = {
        "library": {"cartridge_bytes": cartridge},
        "pool": {"copies": ["second"], "pack_bytes_target": segment, "verify": "deferred"},
        "testing": {"faults": faults},
        "more": SECOND.format(cartridge=cartridge, segment=segment),
    }

    def scenario():
        with harness.server(binary, **settings) as server:
            Large(server, report, body, cartridge).run()

    # Beside its copies on tape it is whole on the store alone, however it goes; some segments are on the spool.
    needed, free = size + 4 * body.on_tape(), shutil.disk_usage(tempfile.gettempdir()).free
    if free < needed:
        report.skip(f"segments ({size >> 20} MiB)", f"it needs {needed >> 30} GiB of disk and {free >> 30} are free")
    else:
        report.scenario("segments", scenario)


class Large:
    """What the steps share."""

    def __init__(self, server, report, body, cartridge):
        self.server, self.report, self.body, self.cartridge = server, report, body, cartridge
        self.s3 = server.s3(retries=2, read_timeout=600)

    def run(self):
        for step in (self.it_goes_to_small_cartridges_of_which_some_fail, self.it_comes_back_though_others_fail):
            name = f"segments: {step.__name__.replace('_', ' ')} ({self.body.size >> 20} MiB)"
            with self.report.step(name):
                step()

    def told(self, *command):
        return self.server.admin(*command)

    def holding(self, library):
        rows = self.told("volume", "list")["volumes"]
        return [row for row in rows if row["library"] == library and row["live_packs"]]

    def it_goes_to_small_cartridges_of_which_some_fail(self):
        self.s3.create_bucket(Bucket=BUCKET)
        upload = self.s3.create_multipart_upload(Bucket=BUCKET, Key=KEY)["UploadId"]
        parts = []
        for number, data in self.body.parts():
            one = self.s3.upload_part(Bucket=BUCKET, Key=KEY, UploadId=upload, PartNumber=number, Body=data)
            parts.append({"PartNumber": number, "ETag": one["ETag"]})
        self.s3.complete_multipart_upload(Bucket=BUCKET, Key=KEY, UploadId=upload, MultipartUpload={"Parts": parts})
        harness.put_rule(self.s3, BUCKET, past_date_rule())
        harness.wait_archived(self.s3, BUCKET, HOURS)
        same("size", harness.listing(self.s3, BUCKET)[KEY][0], self.body.size)
        self.whole()
        for library in ("main", "second"):
            count = len(self.holding(library))
            check(count >= CARTRIDGES, f"{count} cartridges of {library} hold it, not {CARTRIDGES}")
        self.failed("3/0c/00")

    def failed(self, sense):
        """The fault that was planned was met."""
        check(f"({sense})" in self.server.log_path.read_text(errors="replace"), f"nothing failed with {sense}")

    def whole(self):
        """Until every pack has both its copies again."""
        def all_there():
            self.told("pool", "repair", "--all")
            return self.told("status")["degraded"]["packs"] == 0
        wait_until(all_there, HOURS, "both copies are whole")

    def it_comes_back_though_others_fail(self):
        """Some cartridges fail while they are read, and one is not there any more before it is back."""
        fullest = sorted(self.holding("main"), key=lambda row: row["live_packs"], reverse=True)
        damaged, gone = (row["barcode"] for row in fullest[:2])
        self.server.stop()
        # More in a row than lie between two packs, in the middle of what it holds.
        middle = self.cartridge // (2 * BLOCK)
        unreadable = range(middle, middle + 8)
        self.server.settings["testing"] = {"faults": [f"main cartridge {damaged} unreadable 1/{at}" for at in unreadable]}
        self.server.start()
        # Until damage was met nothing is read from the other library, which has whole copies of everything.
        self.told("library", "hold", "second")
        same("restore", restore(self.s3, BUCKET, KEY, DAYS), 202)
        wait_until(lambda: self.told("status")["degraded"]["packs"] > 0, HOURS, "damage is met")
        self.failed("3/11/00")
        self.server.stop()
        shutil.rmtree(self.server.cartridges / gone)
        self.server.settings["testing"] = {}
        self.server.start()
        self.told("library", "release", "second")
        wait_until(lambda: restored(self.s3, BUCKET, KEY), HOURS, "it is restored")
        seen = hashlib.sha256()
        for piece in self.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].iter_chunks(MIB):
            seen.update(piece)
        same("digest", seen.hexdigest(), self.body.sent.hexdigest())
        check(self.told("status")["degraded"]["packs"] > 0, "nothing is short of a copy")


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--size", type=int, default=SHORT, help=f"bytes (default: {SHORT}; the long lane: {LONG})")
    options = parser.parse_args()
    seed, report = harness.seed_of(options), Report()
    run(report, options.binary, options.size, seed)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
