"""Cartridges that leave the library and come back: restores wait for them with a task for hands, and go on by
themselves. The gateway is stopped and killed in between."""

import argparse
import random
import subprocess
import sys
import time

import harness
from harness import body, past_date_rule, restore, restored, wait_until
from report import Report, check, same

BUCKET = "vault"
PLACE = "cabinet 3, shelf B"
DAYS = 30
WAIT_SECONDS = 60


class Vault:
    """What the steps share."""

    def __init__(self, server, seed):
        self.server = server
        self.s3 = server.s3(retries=5)
        self.random = random.Random(seed)
        self.contents = {}
        self.barcode = None

    def steps(self):
        return [
            self.everything_goes_to_tape,
            self.the_only_copy_is_refused,
            self.the_cartridge_leaves,
            self.a_restore_waits_for_it,
            self.another_cartridge_is_not_taken_for_it,
            self.brought_back_it_goes_on,
            self.killed_in_the_middle_it_leaves_all_the_same,
            self.found_behind_the_door_it_is_back,
            self.drives_and_cartridges_by_hand,
        ]

    def tasks(self, kind):
        return [task for task in self.server.admin("task", "list")["tasks"] if task["task"] == kind]

    def volume(self):
        rows = self.server.admin("volume", "list")["volumes"]
        return next(row for row in rows if row["barcode"] == self.barcode)

    def command(self, *arguments, code=0):
        place = ["--data", self.server.data, "--admin", f"127.0.0.1:{self.server.admin_port}"]
        return self.server.command(*arguments, *place, code=code)

    def element(self):
        """Kind and number of the element the cartridge is in; None outside."""
        rows = self.server.admin("library", "inventory")["elements"]
        return next(((row["kind"], row["element"]) for row in rows if row["barcode"] == self.barcode), None)

    # --- steps ---

    def everything_goes_to_tape(self):
        self.s3.create_bucket(Bucket=BUCKET)
        for n in range(6):
            self.contents[f"key-{n}"] = data = self.random.randbytes(400_000 + n)
            self.s3.put_object(Bucket=BUCKET, Key=f"key-{n}", Body=data)
        harness.put_rule(self.s3, BUCKET, past_date_rule())
        harness.wait_archived(self.s3, BUCKET, WAIT_SECONDS)
        filled = [row for row in self.server.admin("volume", "list")["volumes"] if row["state"] == "filling"]
        same("volumes with something on them", len(filled), 1)
        self.barcode = filled[0]["barcode"]

    def the_only_copy_is_refused(self):
        self.command("library", "export", self.barcode, "--to", PLACE, code=1)
        self.command("library", "export", "NOTHERE9", "--to", PLACE, code=1)
        self.command("library", "export", self.barcode, code=2)
        same("its state", self.volume()["state"], "filling")

    def the_cartridge_leaves(self):
        picked = self.server.admin("library", "export", self.barcode, "--to", PLACE, "--only-copy")["pick_list"]
        same("the pick list", [(row["barcode"], row["place"], row["in_mail_slot"]) for row in picked],
             [(self.barcode, PLACE, True)])
        check(picked[0]["packs"] > 0 and picked[0]["bytes"] > 0, f"nothing is said to be on it: {picked}")
        same("its element", self.element(), ("mail", picked[0]["element"]))
        volume = self.volume()
        same("its state", (volume["state"], volume["detail"]), ("offline", PLACE))
        same("to be taken out", [task["barcode"] for task in self.tasks("takeout")], [self.barcode])
        self.command("library", "hands", "take", self.barcode)
        same("its element", self.element(), None)
        same("tasks", self.tasks("takeout"), [])

    def a_restore_waits_for_it(self):
        for key in self.contents:
            restore(self.s3, BUCKET, key, DAYS)
        wait_until(lambda: self.tasks("bringin"), WAIT_SECONDS, "a task")
        (task,) = self.tasks("bringin")
        wanted = sum(len(data) for data in self.contents.values())
        seen = (task["code"], task["barcode"], task["place"])
        same("the task", seen, ("EN-0120", self.barcode, PLACE))
        wait_until(lambda: self.tasks("bringin")[0]["restores"] == len(self.contents), WAIT_SECONDS, "all wait")
        same("bytes that wait", self.tasks("bringin")[0]["bytes"], wanted)
        job = self.server.admin("restore", "list")["restores"][0]["id"]
        same("waited for", self.server.admin("restore", "show", job)["waits_for"], f"{self.barcode} at {PLACE}")
        # It outlives the process, and the client is told that it goes on.
        self.server.restart()
        same("the task", self.tasks("bringin")[0]["barcode"], self.barcode)
        for key in self.contents:
            head = self.s3.head_object(Bucket=BUCKET, Key=key)
            same(f"restore of {key}", head["Restore"], 'ongoing-request="true"')

    def another_cartridge_is_not_taken_for_it(self):
        """A blank cartridge that carries its label."""
        outside = self.server.data / "library-main" / "outside"
        rows = self.server.admin("library", "inventory")["elements"]
        other = next(row["barcode"] for row in reversed(rows) if row["kind"] == "slot" and row["full"] and not row.get("volume"))
        self.command("library", "hands", "take", other)
        (outside / self.barcode).rename(outside / "right")
        (outside / other).rename(outside / self.barcode)
        self.command("library", "hands", "put", self.barcode)
        place = ["--data", self.server.data, "--admin", f"127.0.0.1:{self.server.admin_port}"]
        told = self.server.command("library", "import", *place, "--json", code=1)
        check('"outcome": "mismatch"' in told, f"it was taken for the other: {told}")
        same("its state", self.volume()["state"], "offline")
        self.command("library", "hands", "take", self.barcode)
        (outside / self.barcode).rename(outside / other)
        (outside / "right").rename(outside / self.barcode)

    def brought_back_it_goes_on(self):
        self.command("library", "hands", "put", self.barcode)
        arrived = self.server.admin("library", "import")["arrived"]
        same("what arrived", [(row["barcode"], row["outcome"]) for row in arrived], [(self.barcode, "back")])
        self.all_come_back()
        same("its state", self.volume()["state"], "filling")

    def all_come_back(self):
        for key, data in self.contents.items():
            wait_until(lambda: restored(self.s3, BUCKET, key), WAIT_SECONDS, f"{key} is restored")
            check(body(self.s3, BUCKET, key) == data, f"{key} came back with other bytes")
        same("tasks", self.tasks("bringin"), [])

    def killed_in_the_middle_it_leaves_all_the_same(self):
        """At random moments, with the order written down; each time it ends in a mail slot or outside."""
        for _ in range(4):
            self.order_and_kill()
            wait_until(lambda: self.volume()["state"] == "offline", WAIT_SECONDS, "the volume is out")
            same("its element", self.element()[0], "mail")
            self.command("library", "hands", "take", self.barcode)
            self.command("library", "hands", "put", self.barcode)
            same("what arrived", self.server.admin("library", "import")["arrived"][0]["outcome"], "back")
        self.s3 = self.server.s3(retries=5)

    def order_and_kill(self):
        order = subprocess.Popen(
            [str(self.server.binary), "library", "export", self.barcode, "--to", PLACE, "--only-copy",
             "--data", str(self.server.data), "--admin", f"127.0.0.1:{self.server.admin_port}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.server.environment())
        noted = lambda: order.poll() is not None or self.leaving()
        wait_until(noted, WAIT_SECONDS, "the order is written down")
        time.sleep(self.random.uniform(0, 0.2))
        self.server.kill()
        order.wait()
        self.server.start()

    def leaving(self):
        volume = self.volume()
        return volume["leaving_to"] == PLACE or volume["state"] == "offline"

    def found_behind_the_door_it_is_back(self):
        self.server.admin("library", "export", self.barcode, "--to", PLACE, "--only-copy")
        self.command("library", "hands", "take", self.barcode)
        self.command("library", "hands", "put", self.barcode, "--slot")
        wait_until(lambda: self.volume()["state"] == "filling", WAIT_SECONDS, "the inventory finds it")

    def drives_and_cartridges_by_hand(self):
        first, second = [drive["serial"] for drive in self.server.admin("drive", "list")["drives"]]
        loaded = self.server.admin("library", "load", self.barcode, "--drive", first)
        same("what is in it", (loaded["drive"], loaded["medium"], loaded["volume"]),
             (first, "volume", self.volume()["id"]))
        self.server.admin("library", "unload", first)
        same("its element", self.element()[0], "slot")
        self.server.admin("drive", "down", first, "--why", "noisy")
        self.server.restart()
        states = {drive["serial"]: (drive["state"], drive["detail"]) for drive in self.server.admin("drive", "list")["drives"]}
        same("the drive after a restart", states[first], ("down", "noisy"))
        same("the other", self.server.admin("library", "load", self.barcode)["drive"], second)
        self.server.admin("drive", "up", first)
        history = self.server.admin("drive", "history", first)
        same("its history", [event["event"] for event in history["events"]], ["down", "up"])
        self.command("library", "clean", second, code=1)
        self.command("drive", "history", "nosuch", code=1)
        check(self.server.admin("library", "rescan")["elements"], "no elements")


def run(report, binary, seed):
    def scenario():
        with harness.server(binary) as server:
            vault = Vault(server, seed)
            for step in vault.steps():
                with report.step(f"vault: {step.__name__.replace('_', ' ')}"):
                    step()

    report.scenario("vault", scenario)


if __name__ == "__main__":
    options = harness.arguments(argparse.ArgumentParser(description=__doc__)).parse_args()
    outcome = Report()
    run(outcome, options.binary, harness.seed_of(options))
    sys.exit(outcome.end())
