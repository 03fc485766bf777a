"""Two copies of everything, in two libraries: cartridges are destroyed, what is short of copies is told, restores go on, and
the copies are made again."""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import harness
from harness import MIB, past_date_rule, wait_until
from machine import BUCKET, SECONDS, put_all, read_back, some_objects
from report import Report, check, same

REPAIR_SECONDS = 120
DELETED = ("object-6", "object-7")
SECOND = """
[[library]]
name = "second"
kind = "virtual"
drives = 1
slots = 12
mail_slots = 0
cartridge_bytes = 1_073_741_824
[[pool]]
name = "second"
library = "second"
quiet_seconds = 1
journal_seconds = 1
verify = "inline"
"""


def run(report, binary):
    """Both libraries lose their cartridges, one after the other."""

    def scenario():
        settings = {"pool": {"copies": ["second"], "pack_bytes_target": MIB, "journal_seconds": 1}, "lifecycle": {"reuse_after_seconds": 0}}
        with harness.server(binary, more=SECOND, **settings) as server:
            Copies(server, report).run()

    report.scenario("copies", scenario)


class Copies:
    """What the steps share."""

    def __init__(self, server, report):
        self.server, self.report = server, report
        self.s3 = server.s3()
        self.contents = {}

    def run(self):
        for step in (
            self.everything_gets_two_copies,
            self.a_library_loses_its_cartridges,
            self.what_is_short_of_copies_is_told,
            self.the_copies_are_made_again,
            self.everything_is_read_back,
            self.the_other_library_loses_its_cartridges,
            self.a_cartridge_is_emptied_and_used_again,
            self.what_was_deleted_stays_so_when_the_machine_is_lost,
        ):
            with self.report.step(f"copies: {step.__name__.replace('_', ' ')}"):
                step()

    # --- the commands ---

    def told(self, *command, code=0):
        more = ("--json", "--data", self.server.data, "--admin", f"127.0.0.1:{self.server.admin_port}")
        return json.loads(self.server.command(*command, *more, code=code))

    def degraded(self):
        return self.told("status")["degraded"]

    def volumes(self, library):
        rows = self.told("volume", "list")["volumes"]
        return [row for row in rows if row["library"] == library and row["live_packs"]]

    def destroy(self, library):
        gone = self.volumes(library)
        check(gone, f"nothing is on the cartridges of {library}")
        self.server.stop()
        for volume in gone:
            shutil.rmtree(self.server.data / f"library-{library}" / "cartridges" / volume["barcode"])
        self.server.start()
        return gone

    def read_back(self, keys):
        for key in keys:
            read_back(self.s3, BUCKET, key, self.contents[key])

    # --- the steps ---

    def everything_gets_two_copies(self):
        self.s3.create_bucket(Bucket=BUCKET)
        self.contents = some_objects(12, 400_000) | {"large": some_objects(1, 5 * MIB, "large")["large-0"]}
        put_all(self.s3, self.contents)
        harness.put_rule(self.s3, BUCKET, past_date_rule())
        harness.wait_archived(self.s3, BUCKET, SECONDS)
        same("what is short of copies", self.degraded(), {"packs": 0, "bytes": 0, "lost": 0, "pools": []})
        for library in ("main", "second"):
            check(self.volumes(library), f"no copy in the library {library}")

    def a_library_loses_its_cartridges(self):
        self.gone = self.destroy("main")
        self.read_back(["object-0", "object-1", "object-2", "large"])

    def what_is_short_of_copies_is_told(self):
        status = self.told("status")
        same("pools", [pool["pool"] for pool in status["degraded"]["pools"]], ["glacier"])
        check(status["degraded"]["packs"] > 0, "nothing is short of copies")
        same("lost", status["degraded"]["lost"], 0)
        same("codes", [trouble["code"] for trouble in status["trouble"] if trouble["stage"] == "copies"], ["EN-0141"])
        for volume in self.volumes("second"):
            shown = self.told("volume", "show", volume["id"])
            check(shown["only_here"]["objects"] > 0, "what is only on one volume is not told")
            self.server.command("volume", "retire", volume["barcode"], "--lost", *self.at(), code=1)

    def at(self):
        return ("--data", self.server.data, "--admin", f"127.0.0.1:{self.server.admin_port}")

    def the_copies_are_made_again(self):
        for volume in self.gone:
            same("retired", self.told("volume", "retire", volume["id"], "--lost")["state"], "retired")
        same("repaired", self.told("pool", "repair", "--all")["done"], True)
        same("what is short of copies", self.degraded()["packs"], 0)

    def everything_is_read_back(self):
        checked = self.told("volume", "verify", "--all")["volumes"]
        check(len(checked) >= 2, f"only {len(checked)} volumes were read back")
        same("damaged", {volume["check"]["damaged"] for volume in checked}, {0})

    def the_other_library_loses_its_cartridges(self):
        self.destroy("second")
        self.read_back(["object-3", "object-4", "object-5"])
        check(self.degraded()["packs"] > 0, "nothing is short of copies")

    def a_cartridge_is_emptied_and_used_again(self):
        for key in DELETED:
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        volume = self.volumes("main")[0]
        same("reclaimed", self.told("volume", "reclaim", volume["id"])["done"], True)

        def labelled_anew():
            rows = self.told("volume", "list")["volumes"]
            return all(row["id"] != volume["id"] for row in rows) and any(
                row["barcode"] == volume["barcode"] and row["library"] == "main" for row in rows)

        wait_until(labelled_anew, REPAIR_SECONDS, "the cartridge is labelled anew")
        self.read_back(["object-8", "object-9"])

    def what_was_deleted_stays_so_when_the_machine_is_lost(self):
        """Also when the cartridge whose journal told it first was used again."""
        wait_until(lambda: harness.all_told(self.told("status")), SECONDS, "everything is told to tape")
        self.server.stop()
        with tempfile.TemporaryDirectory(dir=self.server.folder) as kept:
            for library in ("library-main", "library-second"):
                shutil.move(self.server.data / library, kept)
            shutil.rmtree(self.server.data)
            self.server.data.mkdir()
            for library in Path(kept).iterdir():
                shutil.move(library, self.server.data)
        config = self.server.folder / "tapegate.toml"
        told = json.loads(self.server.command("rebuild", "--config", config, "--data", self.server.data, "--json"))
        same("lost", [one for one in told["unconfirmed"] if one["lost"]], [])
        self.server.start()
        self.s3 = self.server.s3()
        for key in DELETED:
            del self.contents[key]
        same("keys", set(harness.listing(self.s3, BUCKET)), set(self.contents))
        self.read_back(["object-10", "object-11", "large"])


def main():
    options = harness.arguments(argparse.ArgumentParser(description=__doc__)).parse_args()
    report = Report()
    run(report, options.binary)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
