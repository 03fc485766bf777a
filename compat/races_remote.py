"""Clients against migration, restore and lapse of the same keys, on a store that others wrote.

A round is one key, one deed, and what the deed races against. Many rounds make a batch. After it every key gives
exactly what was acknowledged: bytes, metadata, tags, ACL, and the versions by their ids, from tape too; and nothing is left of
what is dead. In every fifth round the gateway is killed meanwhile; what a deed did whose answer was lost is found out,
and must be all of it or nothing.
"""

import argparse
import heapq
import random
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

from botocore.exceptions import ClientError

import harness
import stores
from harness import in_threads, past_date_rule, wait_until
from races_clients import (
    BUCKETS, DAY_SECONDS, DONORS, LAPSE, MIGRATE, RESTORE, SPREAD_SECONDS, STUCK_SECONDS, Clients, Round, brief,
    differences, fresh,
)
from races_model import ENABLED, NULL, OFF, SUSPENDED, Key, Line, of_put, written
from report import Failed, Report, check, same

THREADS = 16
POLL_SECONDS = 0.25
ASK_AGAIN_SECONDS = 10
FIRST_TAGS = (("seat", "1"), ("turn", "first"))


class Races(Clients):
    """The plan, what it is carried out by, and what must be there after it."""

    def __init__(self, server, store, account, seed, deeds=()):
        super().__init__(server, store, account)
        self.seed = seed
        self.buckets = [replace(bucket, deeds=wanted) for bucket in BUCKETS[store.name]
                        if (wanted := tuple(each for each in bucket.deeds if each in (deeds or bucket.deeds)))]
        self.batches = 0
        for bucket in self.buckets:
            self.s3.create_bucket(Bucket=bucket.name)
            harness.put_rule(self.s3, bucket.name, past_date_rule())
        self.s3.create_bucket(Bucket=DONORS)
        self.put_donor()

    # --- a batch ---

    def batch(self, rounds, kills):
        """`rounds` of each kind, all at once; the gateway is killed `kills` times in either half."""
        self.batches += 1
        self.kills = kills > 0
        plan = self.plan(rounds)
        self.keys = {one: Key() for one in plan}
        against = {kind: [one for one in plan if one.against == kind] for kind in SPREAD_SECONDS}
        self.put_all(plan)
        self.timed("put")
        with self.killed(kills, 1):
            self.run_at([(one.moment * SPREAD_SECONDS[MIGRATE], self.do, one) for one in against[MIGRATE]])
        self.timed("raced the migration")
        self.settle(plan)
        self.timed("settled")
        with self.killed(kills, 2):
            self.race_restores(against)
        self.timed("raced restore and lapse")
        self.settle(plan)
        self.timed("settled")
        self.race_restores({MIGRATE: against[RESTORE] + against[LAPSE], RESTORE: [], LAPSE: []})
        self.timed("read")
        self.clear(plan)
        self.timed("cleared")

    def timed(self, what):
        now = time.monotonic()
        print(f"        {what}: {now - getattr(self, 'then', now):.1f} s", flush=True)
        self.then = now

    def plan(self, rounds):
        source = random.Random(f"{self.seed}/{self.batches}")
        plan = []
        for bucket in self.buckets:
            for deed in bucket.deeds:
                for against in SPREAD_SECONDS:
                    for number in range(rounds):
                        key = f"{self.batches}/{deed} {against}/{number}".replace(" ", "-")
                        plan.append(Round(bucket, key, deed, against, source.random(),
                                          self.full and source.random() < 0.5))
        source.shuffle(plan)
        return plan

    def put_all(self, plan):
        """What there is before: with versions, an older one below; in the bucket that is switched that is null."""

        def put(one, which):
            data, metadata, more = fresh(one.key, which), {"turn": which}, {}
            if self.full:
                more = {"Tagging": "turn=first&seat=1", "ACL": "public-read" if one.public else "private"}
            answer = self.attempt(self.s3.put_object, Bucket=one.bucket.name, Key=one.key, Body=data,
                                  Metadata=metadata, **more)
            version = of_put(data, metadata, answer.get("VersionId"), tags=FIRST_TAGS if self.full else (),
                             public=one.public)
            key = self.keys[one]
            key.states = [written(key.versions, version, status[one.bucket])]

        status = {bucket: bucket.status for bucket in self.buckets}
        switched = [bucket for bucket in self.buckets if bucket.deeds[0].startswith("switch")]
        for bucket in self.buckets:
            if bucket.status != OFF:
                if bucket in switched:
                    status[bucket] = SUSPENDED
                self.set_versioning(bucket.name, status[bucket])
        in_threads(lambda one: put(one, "zero"), [one for one in plan if one.bucket.status != OFF], THREADS)
        for bucket in switched:
            status[bucket] = ENABLED
            self.set_versioning(bucket.name, ENABLED)
        in_threads(lambda one: put(one, "first"), plan, THREADS)

    def run_at(self, moments, more=lambda: None):
        """Calls every (seconds from now, function, round) at its time; `more` is asked for further ones, now and then,
        until it gives None."""
        began = time.monotonic()
        waiting = [(began + at, place, function, one) for place, (at, function, one) in enumerate(moments)]
        heapq.heapify(waiting)
        count, running, asked = len(waiting), set(), 0.0
        with ThreadPoolExecutor(THREADS) as pool:
            while True:
                now = time.monotonic()
                if more is not None and now >= asked + POLL_SECONDS:
                    new = more()
                    more = None if new is None else more
                    asked = now = time.monotonic()
                    for at, function, one in new or ():
                        count += 1
                        heapq.heappush(waiting, (now + at, count, function, one))
                while waiting and waiting[0][0] <= now:
                    *_, function, one = heapq.heappop(waiting)
                    running.add(pool.submit(function, one))
                if more is None and not waiting and not running:
                    return
                ended, running = wait(running, 0.02, FIRST_COMPLETED) if running else ((), running)
                if not running:
                    time.sleep(0.01)
                for each in ended:
                    each.result()

    def race_restores(self, against):
        """All are asked for; one kind is raced while it is restored, one once its copies lapse, one is read."""
        expected = {}
        for kind, days in ((RESTORE, 100), (LAPSE, 1), (MIGRATE, 100)):
            for one in against[kind]:
                if self.keys[one].current is not None:
                    expected[one] = days
        # By round: when it was asked for last.
        asked = {}
        moments = []

        def ask(one):
            self.restore(one, expected[one])
            asked[one] = time.monotonic()
            if one in raced:
                moments.append((one.moment * SPREAD_SECONDS[RESTORE], self.do, one))

        raced = set(against[RESTORE])
        left = {one for one in expected if one not in raced}
        in_order = sorted(expected, key=lambda one: one.moment)
        gone = [(0.0, self.verify, one) for one in against[MIGRATE] if one not in expected]

        moved = time.monotonic()

        def more():
            nonlocal moved
            found, moments[:] = list(moments), []
            if not left and len(asked) == len(expected):
                # A deed that was only just noted comes with the next.
                return found or None
            check(time.monotonic() < moved + STUCK_SECONDS,
                  f"stuck for {STUCK_SECONDS} s: {len(left)} are not restored, as "
                  f"{[(one.bucket.name, one.key) for one in list(left)[:3]]}")
            copies = {bucket: self.readable(bucket) for bucket in self.buckets}
            for one in [one for one in left if one in asked]:
                if one.key in copies[one.bucket]:
                    left.discard(one)
                    moved = time.monotonic()
                    at = one.moment * SPREAD_SECONDS[LAPSE] if one in lapsing else 0.0
                    found.append((at, self.do if one in lapsing else self.verify, one))
                elif time.monotonic() > asked[one] + ASK_AGAIN_SECONDS:
                    asked[one] = time.monotonic()
                    found.append((0.0, ask, one))
            return found

        lapsing = set(against[LAPSE])
        self.run_at([(0.0, ask, one) for one in in_order] + gone, more)

    def restore(self, one, days, **version):
        """Asks for it; what was replaced meanwhile or is under way may say so."""
        try:
            self.insist(self.s3.restore_object, Bucket=one.bucket.name, Key=one.key, RestoreRequest={"Days": days},
                        **version)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            check(code == "RestoreAlreadyInProgress", f"restore of {self.told(one)}: {error}")

    def readable(self, bucket):
        """The keys whose copies can be read now."""
        found = set()
        for page in self.insist(lambda: list(self.s3.get_paginator("list_objects_v2").paginate(
                Bucket=bucket.name, OptionalObjectAttributes=["RestoreStatus"]))):
            for entry in page.get("Contents", []):
                status = entry.get("RestoreStatus", {})
                if "RestoreExpiryDate" in status and not status.get("IsRestoreInProgress"):
                    found.add(entry["Key"])
        return found

    def verify(self, one):
        """Every version gives what was acknowledged, the archived ones from tape."""
        key = self.keys[one]
        for place, version in enumerate(key.versions):
            if version.is_marker:
                continue
            named = {} if one.bucket.status == OFF else {"VersionId": version.number}

            def found():
                answer = self.get(one, **named)
                if answer is not None and answer["bytes"] is None:
                    self.restore(one, 100, **named)
                    return None
                return answer or "nothing"

            answer = wait_until(found, STUCK_SECONDS, f"{self.told(one)} {version.number} is restored")
            wrong = differences(version, None if answer == "nothing" else answer)
            check(not wrong, f"{self.told(one)}, version {place}, read back: {wrong}")
            self.dated(one, version, answer["LastModified"])
        if key.current is None:
            same(f"what is under {self.told(one)}", self.get(one), None)

    # --- what is there after it ---

    def settle(self, plan):
        """Exactly what was acknowledged is listed, and gets archived; then the store holds no more versions than
        clients see."""
        for bucket in self.buckets:
            if bucket.status == ENABLED:
                self.set_versioning(bucket.name, ENABLED)
        by_name = {(one.bucket.name, one.key): one for one in plan}

        hot = []

        def settled():
            hot.clear()
            for bucket in self.buckets:
                lines = self.listed(bucket)
                for one in by_name.values():
                    if one.bucket == bucket and not self.settled(one, lines.pop(one.key, [])):
                        hot.append(self.told(one))
                same(f"further keys in {bucket.name}", sorted(lines), [])
            return not hot

        wait_until(settled, STUCK_SECONDS, lambda: f"everything is archived; {len(hot)} are not, as {hot[:5]}")
        for bucket in self.buckets:
            lines = self.listed(bucket)
            for one in plan:
                if one.bucket == bucket:
                    self.known(one, lines.get(one.key, []))
        wait_until(lambda: self.versions_behind() == sum(len(key.versions) for key in self.keys.values()),
                   STUCK_SECONDS, "the store has as many versions as clients see")

    def known(self, one, lines):
        """What the key holds is what it shows now, whatever answers were lost."""
        key = self.keys[one]
        key.states = key.shown_by(lines)
        if len(key.states) > 1:
            key.states = self.look(one)
        dates = {line.number: line.modified for line in lines}
        for version in key.versions:
            if not version.is_marker:
                self.dated(one, version, dates[version.number])

    def settled(self, one, lines):
        """True when the key shows a state it may be in, archived; fails when it shows another."""
        key = self.keys[one]
        found = key.shown_by(lines)
        if not found:
            # What the store has, and what is listed now, tell whether it was so for a moment only.
            behind = self.lines(self.direct, one.bucket).get(one.key, [])
            raise Failed(f"{self.told(one)}: expected one of "
                         f"{[[brief(each) for each in state] for state in key.states]}, saw {lines}, "
                         f"then {self.listed(one.bucket).get(one.key, [])}; the store has {behind}")
        return not found[0] or found[0][0].is_marker or lines[0].storage_class == "GLACIER"

    def listed(self, bucket):
        """The lines of every key as clients see them: versions newest first, then delete markers."""
        return self.insist(lambda: self.lines(self.s3, bucket))

    def lines(self, s3, bucket):
        found = {}
        if bucket.status == OFF:
            for key, (size, etag, modified, storage_class) in harness.listing(s3, bucket.name).items():
                found[key] = [Line(NULL, False, True, size, told(etag), modified, storage_class)]
            return found
        markers = []
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket.name):
            lines = [(each["Key"], Line(each["VersionId"], False, each["IsLatest"], each["Size"], told(each["ETag"]),
                                        each["LastModified"], each["StorageClass"]))
                     for each in page.get("Versions", [])]
            markers += [(each["Key"], Line(each["VersionId"], True, each["IsLatest"], 0, None, each["LastModified"],
                                           None)) for each in page.get("DeleteMarkers", [])]
            for key, line in lines:
                found.setdefault(key, []).append(line)
        for key, line in markers:
            found.setdefault(key, []).append(line)
        return found

    def versions_behind(self):
        return sum(len(lines) for bucket in self.buckets for lines in self.lines(self.direct, bucket).values())

    def clear(self, plan):
        """Deletes everything for good; neither the buckets nor the bucket of restored copies keep any of it."""
        for bucket in self.buckets:
            doomed = [{"Key": one.key} | ({} if bucket.status == OFF else {"VersionId": version.number})
                      for one in plan if one.bucket == bucket for version in self.keys[one].versions]
            for first in range(0, len(doomed), 1000):
                several = {"Objects": doomed[first : first + 1000]}
                answer = self.insist(self.s3.delete_objects, Bucket=bucket.name, Delete=several)
                check("Errors" not in answer, f"errors: {answer.get('Errors')}")
            same("versions left for clients", self.lines(self.s3, bucket), {})
        wait_until(lambda: self.versions_behind() == 0, STUCK_SECONDS, "nothing is left in the store")
        wait_until(lambda: not self.copies(), STUCK_SECONDS, "no copy of a dead archive is left")

    def copies(self):
        """Restored copies the store has: their keys begin with two digits."""
        names = [each["Name"] for each in self.direct.list_buckets()["Buckets"]]
        (reserved,) = [name for name in names if name.startswith("tapegate-reserved-")]
        return [key for key in harness.listing(self.direct, reserved) if len(key.partition("/")[0]) == 2]

    # --- kills ---

    def killed(self, kills, half):
        """The gateway is killed `kills` times while the block runs, at moments of the seed's."""
        source = random.Random(f"{self.seed}/{self.batches}/{half}")
        return Killer(self.server, [source.uniform(0.2, 3.0) for _ in range(kills)])


class Killer:
    """Kills the server after each of the pauses and starts it again."""

    def __init__(self, server, pauses):
        self.server, self.pauses, self.problem = server, pauses, None
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            for pause in self.pauses:
                time.sleep(pause)
                self.server.kill()
                self.server.start()
        except BaseException as error:
            self.problem = error

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.thread.join()
        if self.problem is not None:
            raise Failed(f"the server did not come back: {self.problem}")


def told(etag):
    """None for the empty ETag that RGW lists of a hot object whose tags were deleted."""
    return None if etag == '""' else etag


def batches_of(rounds):
    """(rounds, kills) of each batch: the gateway is killed in a fifth of the rounds."""
    if rounds < 100:
        killed = -(-rounds // 5)
        return [(rounds - killed, 0), (killed, 2)]
    return [(50, 3 if number % 5 == 4 else 0) for number in range(-(-rounds // 50))]


def warm(account):
    """The first object a store ever gets may take it longer than a gateway waits for an answer."""
    s3 = account.s3(retries=5)
    s3.create_bucket(Bucket="races-warm")
    s3.put_object(Bucket="races-warm", Key="key", Body=b"")


def run(report, binary, store, rounds, seed, deeds=()):
    testing = {"day_seconds": DAY_SECONDS, "lifecycle_interval_seconds": 1, "grace_seconds": 0}

    def scenario():
        account = store.account()
        warm(account)
        sections = stores.settings(account, [bucket.name for bucket in BUCKETS[store.name]])
        # What a killed gateway had asked the store for is waited out that long before its keys are free.
        sections["store"]["request_timeout_seconds"] = 5
        with harness.server(binary, testing=testing, **sections) as server:
            races = Races(server, store, account, seed, deeds)
            for number, deaths in batches_of(rounds):
                told = f", killed {2 * deaths} times" if deaths else ""
                with report.step(f"races/{store.name}: {number} rounds of each kind{told}"):
                    races.batch(number, deaths)
            print(f"        {races.lost} answers were lost", flush=True)

    report.scenario(f"races/{store.name}", scenario)


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--store", choices=BUCKETS, action="append", help="default: ceph")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--deed", action="append", default=[], help="only this; may be repeated (default: all)")
    options = parser.parse_args()
    seed, report = harness.seed_of(options), Report()
    for name in options.store or ["ceph"]:
        with stores.KINDS[name]() as store:
            run(report, options.binary, store, options.rounds, seed, options.deed)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
