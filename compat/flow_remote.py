"""The whole way of an object with a store behind that others wrote: the flow, and what only such a store brings.

Objects that were there before the gateway came, what the store is left with, versions that keep their ids, and a store
that goes away in the middle of a migration and of a restore.
"""

import argparse
import sys

import harness
import stores
from flow import (
    AGED, ARCHIVE_SECONDS, DAY_SECONDS, DAYS, DIRECT, HOLD_SECONDS, METADATA, ODD, ODD_KEYS, RESTORE_SECONDS, TREE,
    Flow, put_multipart,
)
from harness import MIB, body, in_threads, listing, past_date_rule, refusal, restore, restored, wait_until
from report import Report, check, same

OLD = "old"
OUTAGE = "outage"
VERSIONS = "versions"
MANAGED = (TREE, ODD, DIRECT, AGED, OLD, OUTAGE, VERSIONS)

OLD_FILES = 60
# Enough that a store can go while some are archived and some are not.
OUTAGE_FILES = 300
# What is left of an archived object takes no more than this; smaller objects stay as they are.
STUB_BYTES_MAX = 1531

# Names a store cannot keep; through a gateway no better than directly.
NAMES_BEYOND = {"garage": ("l" * 1024, "/leading/slash"), "ceph": ()}
WITH_VERSIONS = ("ceph",)
# Ceph RGW 16.2 tells nobody what parts an object was made of.
WITHOUT_PARTS = ("ceph",)


class RemoteFlow(Flow):
    """The flow with `account` of `store` behind the server."""

    kept = (AGED, DIRECT, OLD, OUTAGE)

    def __init__(self, server, report, seed, store, account, old):
        super().__init__(server, report, store.name, seed)
        self.store, self.account, self.old = store, account, old
        self.odd_keys = {key: data for key, data in ODD_KEYS.items() if key not in NAMES_BEYOND[store.name]}
        self.direct = account.s3(retries=2)
        self.tells_parts = store.name not in WITHOUT_PARTS

    def steps(self):
        first, second, *others = super().steps()
        versions = [self.versions_keep_their_ids] if self.store.name in WITH_VERSIONS else []
        return [
            self.objects_that_were_there_are_served, first, second, self.the_store_is_left_with_stubs,
            self.objects_that_were_there_are_archived, self.the_store_goes_during_a_migration,
            self.the_store_goes_during_a_restore, *versions, *others,
        ]

    def hot_bytes(self):
        return sum(entry[0] for bucket in (TREE, ODD) for entry in listing(self.direct, bucket).values())

    # --- before the gateway ---

    def objects_that_were_there_are_served(self):
        self.before[OLD] = listing(self.direct, OLD)
        same("keys", set(self.before[OLD]), set(self.old))
        same("listing", listing(self.s3, OLD), self.before[OLD])
        for key, data in self.old.items():
            answer = self.s3.get_object(Bucket=OLD, Key=key)
            check(answer["Body"].read() == data, f"other bytes of {key!r}")
            _, etag, listed, _ = self.before[OLD][key]
            # A head tells whole seconds; a store may list finer.
            same(f"GET of {key!r}", (answer["ETag"], answer["LastModified"]), (etag, listed.replace(microsecond=0)))
        same("metadata", self.s3.head_object(Bucket=OLD, Key="with metadata")["Metadata"], METADATA)

    def the_store_is_left_with_stubs(self):
        for bucket in (TREE, ODD):
            for key, (size, *_) in listing(self.direct, bucket).items():
                check(size <= STUB_BYTES_MAX, f"the store has {size} bytes of {bucket}/{key}")

    def objects_that_were_there_are_archived(self):
        harness.put_rule(self.s3, OLD, past_date_rule())
        self.unchanged(OLD, harness.wait_archived(self.s3, OLD, ARCHIVE_SECONDS))
        same("metadata", self.s3.head_object(Bucket=OLD, Key="with metadata")["Metadata"], METADATA)
        same("GET", refusal(self.s3.get_object, Bucket=OLD, Key="with metadata")[:2], (403, "InvalidObjectState"))
        in_threads(lambda key: same("restore", restore(self.s3, OLD, key, DAYS), 202), list(self.old))
        for key, data in self.old.items():
            wait_until(lambda: restored(self.s3, OLD, key), RESTORE_SECONDS, f"{key!r} is restored")
            check(body(self.s3, OLD, key) == data, f"other bytes of {key!r}")
        # A part of what was made of parts, long before anybody here could note them.
        ranged = self.s3.get_object(Bucket=OLD, Key="multipart", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
        same("range", ranged["Body"].read(), self.old["multipart"][5 * MIB - 2 : 5 * MIB + 2])

    # --- the store goes and comes back ---

    def the_store_goes_during_a_migration(self):
        self.s3.create_bucket(Bucket=OUTAGE)
        self.outage = {f"{number:03}": f"object {number} ".encode() * 800 for number in range(OUTAGE_FILES)}
        in_threads(lambda key: self.s3.put_object(Bucket=OUTAGE, Key=key, Body=self.outage[key]), list(self.outage))
        self.before[OUTAGE] = listing(self.s3, OUTAGE)
        harness.put_rule(self.s3, OUTAGE, past_date_rule())
        wait_until(lambda: self.archived(OUTAGE) > 0, ARCHIVE_SECONDS, "the first object is archived")
        with self.store.away():
            self.nobody_behind("000")
        self.unchanged(OUTAGE, harness.wait_archived(self.s3, OUTAGE, ARCHIVE_SECONDS + RESTORE_SECONDS))

    def the_store_goes_during_a_restore(self):
        in_threads(lambda key: same("restore", restore(self.s3, OUTAGE, key, DAYS), 202), list(self.outage))
        with self.store.away(kill=True):
            self.nobody_behind("000")
        for key, data in self.outage.items():
            wait_until(lambda: restored(self.s3, OUTAGE, key), 2 * RESTORE_SECONDS, f"{key} is restored")
            check(body(self.s3, OUTAGE, key) == data, f"other bytes of {key}")
        self.unchanged(OUTAGE, listing(self.s3, OUTAGE))

    def archived(self, bucket):
        return sum(entry[3] == "GLACIER" for entry in listing(self.s3, bucket).values())

    def nobody_behind(self, key):
        """What clients are told meanwhile: that they may come again."""
        same("GET with nobody behind", refusal(self.s3.get_object, Bucket=OUTAGE, Key=key)[0], 503)
        same("PUT with nobody behind", refusal(self.s3.put_object, Bucket=OUTAGE, Key="never", Body=b"")[0], 503)

    # --- versions ---

    def versions_keep_their_ids(self):
        s3 = self.s3
        s3.create_bucket(Bucket=VERSIONS)
        s3.put_bucket_versioning(Bucket=VERSIONS, VersioningConfiguration={"Status": "Enabled"})
        contents = [f"version {number} ".encode() * 1000 for number in range(3)]
        ids = [s3.put_object(Bucket=VERSIONS, Key="key", Body=data)["VersionId"] for data in contents]
        lines = versions(s3)
        same("versions", [line[:3] for line in lines], [("key", each, each == ids[-1]) for each in reversed(ids)])
        harness.put_rule(s3, VERSIONS, past_date_rule())
        harness.wait_archived(s3, VERSIONS, ARCHIVE_SECONDS)
        same("versions, archived", versions(s3), lines)
        head = s3.head_object(Bucket=VERSIONS, Key="key")
        same("the current version", (head["VersionId"], head["StorageClass"]), (ids[-1], "GLACIER"))
        same("GET by its id", refusal(s3.get_object, Bucket=VERSIONS, Key="key", VersionId=ids[-1])[:2],
             (403, "InvalidObjectState"))
        for number in (0, 1):
            same("an older version", body(s3, VERSIONS, "key", VersionId=ids[number]), contents[number])
        answer = s3.restore_object(Bucket=VERSIONS, Key="key", VersionId=ids[-1], RestoreRequest={"Days": DAYS})
        same("restore by its id", answer["ResponseMetadata"]["HTTPStatusCode"], 202)
        wait_until(lambda: restored(s3, VERSIONS, "key"), RESTORE_SECONDS, "the version is restored")
        same("restored", body(s3, VERSIONS, "key", VersionId=ids[-1]), contents[-1])
        marker = s3.delete_object(Bucket=VERSIONS, Key="key")["VersionId"]
        same("below a marker", body(s3, VERSIONS, "key", VersionId=ids[-1]), contents[-1])
        for each in (marker, *ids):
            s3.delete_object(Bucket=VERSIONS, Key="key", VersionId=each)
        same("versions, deleted", versions(s3), [])
        same("versions in the store", versions(self.direct), [])
        s3.delete_bucket(Bucket=VERSIONS)


def versions(s3):
    """Every line of the listing of versions: (key, id, latest, ETag, size, last modified)."""
    answer = s3.list_object_versions(Bucket=VERSIONS)
    check("DeleteMarkers" not in answer, f"markers: {answer.get('DeleteMarkers')}")
    return [(each["Key"], each["VersionId"], each["IsLatest"], each["ETag"], each["Size"], each["LastModified"])
            for each in answer.get("Versions", [])]


def objects_of_old(account):
    """Puts objects straight into the store, as clients did before there was a gateway; gives bytes by key."""
    s3 = account.s3()
    s3.create_bucket(Bucket=OLD)
    objects = {f"folder {number % 3}/{number:02}": f"old {number} ".encode() * (number * 40)
               for number in range(1, OLD_FILES + 1)}
    objects |= {"with metadata": b"metadata" * 500, "ünï/ключ": b"unicode" * 400}
    in_threads(lambda key: s3.put_object(Bucket=OLD, Key=key, Body=objects[key], Metadata=METADATA), list(objects))
    objects["multipart"] = b"the first part, " * (5 * MIB // 16) + b"the second part"
    put_multipart(s3, OLD, "multipart", objects["multipart"])
    return objects


def run(report, binary, store, seed):
    testing = {
        "day_seconds": DAY_SECONDS,
        "lifecycle_interval_seconds": 1,
        "grace_seconds": 0,
        "restore_hold_seconds": HOLD_SECONDS,
    }

    def scenario():
        account = store.account()
        old = objects_of_old(account)
        with harness.server(binary, testing=testing, **stores.settings(account, MANAGED)) as server:
            RemoteFlow(server, report, seed, store, account, old).run()

    report.scenario(f"flow/{store.name}", scenario)


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--store", choices=stores.KINDS, default="ceph")
    options = parser.parse_args()
    report = Report()
    with stores.KINDS[options.store]() as store:
        run(report, options.binary, store, options.seed or 1)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
