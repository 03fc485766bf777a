"""The machine is lost and the cartridges are kept: `tapegate rebuild` brings back every version that lived, with its
metadata, and nothing that was deleted."""

import json
import random
import shutil
import sys
import time

import harness
from flow import METADATA, ODD_KEYS, put_multipart
from harness import MIB, MODES, body, in_threads, listing, md5, past_date_rule, restore, restored, wait_until
from report import check, same

PLAIN, KEPT, DIRECT, TORN = "plain", "versions", "direct", "torn"
ARCHIVE_SECONDS = 90
RESTORE_SECONDS = 90
DAYS = 30
SETTINGS = {"library": {"folder": "tapes"}, "pool": {"journal_seconds": 1}}
TAGS = [{"Key": "colour", "Value": "light blue"}, {"Key": "path/with+odd", "Value": "a=b:c@d"}]


def run(report, binary, mode, seed):
    for sealed in (False, True):
        name = f"rebuild/{mode}/sealed" if sealed else f"rebuild/{mode}"
        report.scenario(name, lambda: lose_everything(report, binary, name, mode, sealed, seed))
    report.scenario(f"rebuild/{mode}/torn", lambda: kill_and_lose(report, binary, mode, seed))


def lose_everything(report, binary, name, mode, sealed, seed):
    settings = SETTINGS | {"pool": SETTINGS["pool"] | {"sealed": sealed}}
    with harness.server(binary, store={"pretend_remote": MODES[mode]}, **settings) as server:
        Loss(server, report, name, sealed, seed).run()


class Loss:
    """What the steps share."""

    def __init__(self, server, report, name, sealed, seed):
        self.server, self.report, self.name = server, report, name
        self.exports = [] if sealed else None
        self.random = random.Random(seed)
        self.s3 = server.s3()
        # By bucket and key: the bytes that lived.
        self.lived = {}
        self.faces, self.versions = {}, {}

    def run(self):
        steps = [self.objects_go_to_tape, self.some_are_deleted, self.everything_is_lost, self.all_that_lived_is_listed,
                 self.all_that_lived_is_restored, self.it_can_be_lost_again]
        for step in steps:
            with self.report.step(f"{self.name}: {step.__name__.replace('_', ' ')}"):
                step()

    def keys(self, *command):
        more = ("--json", "--data", self.server.data, "--admin", f"127.0.0.1:{self.server.admin_port}")
        return json.loads(self.server.command("keys", *command, *more))

    def keyring(self):
        """What a rebuild is given of keys: the last export."""
        return ["--keyring", self.exports[-1]] if self.exports else []

    def lose_all(self):
        """Only the cartridges are left, and, where they are sealed, an export of the keys."""
        self.server.stop()
        if self.exports is not None:
            self.exports.append(self.server.folder / f"keys-{len(self.exports)}")
            self.keys("export", "--to", self.exports[-1])
        shutil.rmtree(self.server.data)

    def put(self, bucket, key, data, **more):
        answer = self.s3.put_object(Bucket=bucket, Key=key, Body=data, **more)
        self.lived[bucket, key] = data
        return answer.get("VersionId")

    def objects_go_to_tape(self):
        for bucket in (PLAIN, KEPT, DIRECT):
            self.s3.create_bucket(Bucket=bucket)
        for key, data in ODD_KEYS.items():
            self.put(PLAIN, key, data, ContentType="text/x-odd", CacheControl="no-store", Metadata=METADATA)
        for number in range(40):
            self.put(PLAIN, f"some/{number:03}", self.random.randbytes(self.random.randrange(2_000, 300_000)))
        self.put(PLAIN, "granted", b"g" * 5_000, ACL="public-read", Metadata={"long": "m" * 1_900})
        data = self.random.randbytes(5 * MIB) + b"second part" * 1_000
        put_multipart(self.s3, PLAIN, "multipart", data)
        self.lived[PLAIN, "multipart"] = data
        large = self.random.randbytes(20 * MIB)
        self.put(PLAIN, "in pieces", large)
        self.s3.put_object_tagging(Bucket=PLAIN, Key="some/000", Tagging={"TagSet": TAGS})
        self.s3.put_bucket_versioning(Bucket=KEPT, VersioningConfiguration={"Status": "Enabled"})
        for bucket in (PLAIN, KEPT):
            harness.put_rule(self.s3, bucket, past_date_rule())
        self.bodies = {}
        for generation in range(3):
            for key in ("one", "two", "marked"):
                data = self.random.randbytes(50_000 + generation)
                self.bodies[key, self.put(KEPT, key, data)] = data
            harness.wait_archived(self.s3, KEPT, ARCHIVE_SECONDS)
        for number in range(5):
            self.put(DIRECT, f"written/{number}", self.random.randbytes(30_000), StorageClass="GLACIER")
        for bucket in (PLAIN, DIRECT):
            harness.wait_archived(self.s3, bucket, ARCHIVE_SECONDS)
        self.settled()

    def some_are_deleted(self):
        for key in ("some/001", "some/002", "ten bytes"):
            self.s3.delete_object(Bucket=PLAIN, Key=key)
            del self.lived[PLAIN, key]
        self.put(PLAIN, "some/003", self.random.randbytes(70_000))
        self.s3.put_object_tagging(Bucket=PLAIN, Key="some/004", Tagging={"TagSet": TAGS[:1]})
        oldest = [one for one in self.told_versions() if one["Key"] == "two"][-1]
        self.s3.delete_object(Bucket=KEPT, Key="two", VersionId=oldest["VersionId"])
        del self.bodies["two", oldest["VersionId"]]
        self.s3.delete_object(Bucket=KEPT, Key="marked")
        del self.lived[KEPT, "marked"]
        harness.wait_archived(self.s3, PLAIN, ARCHIVE_SECONDS)
        self.settled()
        self.remember()

    def told_versions(self):
        return self.s3.list_object_versions(Bucket=KEPT)["Versions"]

    def settled(self):
        """Until everything is archived and told to tape."""
        def quiet():
            status = self.server.admin("status")
            states = {row["state"]: row["count"] for row in status["archives"]}
            under_way = sum(states.get(name, 0) for name in ("declared", "due", "packed", "taped", "flipping", "failed"))
            return under_way == 0 and harness.all_told(status)
        wait_until(quiet, ARCHIVE_SECONDS, "everything is on tape and told")

    def remember(self):
        for bucket in (PLAIN, KEPT, DIRECT):
            entries = listing(self.s3, bucket)
            same(f"keys of {bucket}", set(entries), {key for place, key in self.lived if place == bucket})
            for key, entry in entries.items():
                self.faces[bucket, key] = (entry, *self.attributes(bucket, key))
        self.versions = self.version_faces()
        self.rules = {bucket: self.rules_of(bucket) for bucket in (PLAIN, KEPT)}

    def rules_of(self, bucket):
        answer = self.s3.get_bucket_lifecycle_configuration(Bucket=bucket)
        return answer["Rules"], answer["TransitionDefaultMinimumObjectSize"]

    def attributes(self, bucket, key):
        head = self.s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        told = {name: head.get(name) for name in ("ContentLength", "ETag", "LastModified", "StorageClass", "ContentType",
                                                  "CacheControl", "Metadata", "VersionId", "ChecksumCRC64NVME")}
        tags = self.s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
        grants = self.s3.get_object_acl(Bucket=bucket, Key=key)["Grants"]
        return told, sorted(tags, key=str), sorted(grants, key=str)

    def version_faces(self):
        return [(one["Key"], one["VersionId"], one["ETag"], one["Size"], one["LastModified"], one["IsLatest"])
                for one in self.told_versions()]

    def everything_is_lost(self):
        self.lose_all()
        if self.exports:
            told = rebuild(self.server, "--dry-run", code=1)
            same("without a key", told["archived"], 0)
            check(told["unconfirmed"], "nothing is told of what cannot be opened")
        told = rebuild(self.server, "--dry-run", *self.keyring())
        left = [name for name in ("catalog.redb", "keyring") if (self.server.data / name).exists()]
        same("left by a dry run", left, [])
        same("unconfirmed", told["unconfirmed"], [])
        told = rebuild(self.server, *self.keyring())
        same("unconfirmed", told["unconfirmed"], [])
        same("objects", told["archived"], len(self.lived) + len(self.bodies) - 2)
        check(told["deleted"] >= 5, f"only {told['deleted']} were deleted")
        self.server.command("rebuild", "--config", self.server.folder / "tapegate.toml", "--data", self.server.data,
                            code=2)
        self.server.start()
        self.s3 = self.server.s3()

    def all_that_lived_is_listed(self):
        for bucket in (PLAIN, KEPT, DIRECT):
            keys = {key for place, key in self.lived if place == bucket}
            same(f"keys of {bucket}", set(listing(self.s3, bucket)), keys)
            for key, entry in listing(self.s3, bucket).items():
                face = (entry, *self.attributes(bucket, key))
                # A store that has only PUT gives its own ids and dates of writing.
                same(f"face of {bucket}/{key!r}", face, self.faces[bucket, key])
        same("versions", self.version_faces(), self.versions)
        same("rules", {bucket: self.rules_of(bucket) for bucket in self.rules}, self.rules)
        markers = self.s3.list_object_versions(Bucket=KEPT).get("DeleteMarkers", [])
        same("delete markers", [(one["Key"], one["IsLatest"]) for one in markers], [("marked", True)])

    def all_that_lived_is_restored(self):
        def back(place):
            bucket, key = place
            same(f"restore of {key!r}", restore(self.s3, bucket, key, DAYS), 202)
            wait_until(lambda: restored(self.s3, bucket, key), RESTORE_SECONDS, f"{key!r} is restored")
            check(body(self.s3, bucket, key) == self.lived[place], f"other bytes of {bucket}/{key!r}")
        in_threads(back, list(self.lived))
        for (key, version), data in self.bodies.items():
            more = {"Bucket": KEPT, "Key": key, "VersionId": version}
            self.s3.restore_object(**more, RestoreRequest={"Days": DAYS})
            readable = lambda: 'ongoing-request="false"' in self.s3.head_object(**more).get("Restore", "")
            wait_until(readable, RESTORE_SECONDS, f"{key} {version} is restored")
            check(self.s3.get_object(**more)["Body"].read() == data, f"other bytes of {key} {version}")

    def it_can_be_lost_again(self):
        """The volumes go on after a rebuild, sealed with newer keys, and what is deleted afterwards stays deleted too."""
        if self.exports:
            for name in {key["name"] for key in self.keys("list")["keys"]}:
                same("rotated", self.keys("rotate", name)["key"], f"{name}:2")
        self.put(DIRECT, "afterwards", self.random.randbytes(20_000), StorageClass="GLACIER")
        self.s3.delete_object(Bucket=PLAIN, Key="multipart")
        del self.lived[PLAIN, "multipart"]
        harness.wait_archived(self.s3, DIRECT, ARCHIVE_SECONDS)
        self.settled()
        self.lose_all()
        rebuild(self.server, *self.keyring())
        self.server.start()
        self.s3 = self.server.s3()
        for bucket in (PLAIN, DIRECT):
            keys = {key for place, key in self.lived if place == bucket}
            same(f"keys of {bucket}", set(listing(self.s3, bucket)), keys)


def kill_and_lose(report, binary, mode, seed):
    """kill -9 while objects go to tape: what comes back is whole, and what was deleted long before does not."""
    chance = random.Random(seed)
    with harness.server(binary, store={"pretend_remote": MODES[mode]}, **SETTINGS) as server:
        with report.step(f"rebuild/{mode}: killed half way, what was committed comes back"):
            s3 = server.s3()
            s3.create_bucket(Bucket=TORN)
            harness.put_rule(s3, TORN, past_date_rule())
            contents = {}

            def put(number):
                key = f"key-{number:04}"
                contents[key] = chance.randbytes(20_000 + number)
                s3.put_object(Bucket=TORN, Key=key, Body=contents[key])

            for number in range(50):
                put(number)
            harness.wait_archived(s3, TORN, ARCHIVE_SECONDS)
            safe = set(contents)
            s3.delete_object(Bucket=TORN, Key="key-0007")
            safe.remove("key-0007")
            wait_until(lambda: harness.all_told(server.admin("status")), ARCHIVE_SECONDS, "the deletion is told")
            for number in range(50, 400):
                put(number)
            time.sleep(chance.uniform(0.5, 3.0))
            server.kill()
            shutil.rmtree(server.data)
            told = rebuild(server)
            same("lost", [one for one in told["unconfirmed"] if one["lost"]], [])
            server.start()
            s3 = server.s3()
            keys = set(listing(s3, TORN))
            check(safe <= keys <= set(contents) - {"key-0007"}, f"not there: {safe - keys}; too many: {keys - set(contents)}")
            sample = chance.sample(sorted(keys), 20)
            for key in sample:
                restore(s3, TORN, key, DAYS)
            for key in sample:
                wait_until(lambda: restored(s3, TORN, key), RESTORE_SECONDS, f"{key} is restored")
                check(body(s3, TORN, key) == contents[key], f"other bytes of {key}")


def rebuild(server, *more, code=0):
    """Runs the command on the server's new data folder; fails unless it exits with `code`; gives what it told."""
    config = server.folder / "tapegate.toml"
    return json.loads(server.command("rebuild", "--config", config, "--data", server.data, "--json", *more, code=code))


def measure(binary, objects, seed):
    """How long a rebuild of many small objects takes."""
    chance = random.Random(seed)
    pool = {"journal_seconds": 1, "pack_bytes_target": 256 * MIB, "quiet_seconds": 5}
    with harness.server(binary, **SETTINGS | {"pool": pool}) as server:
        s3 = server.s3()
        s3.create_bucket(Bucket=PLAIN)
        data = chance.randbytes(4_096)
        in_threads(lambda n: s3.put_object(Bucket=PLAIN, Key=f"{n % 97:02}/{n:07}", Body=data[: 1_600 + n % 2_000]),
                   range(objects), threads=16)
        harness.put_rule(s3, PLAIN, past_date_rule())
        wait_until(lambda: archived(server) >= objects, 3_600, lambda: f"{archived(server)} are archived")
        server.stop()
        shutil.rmtree(server.data)
        told = rebuild(server)
        same("archived", told["archived"], objects)
        print(f"{objects} objects on {told['cartridges']} cartridges in {told['packs']} packs: {told['seconds']:.1f} s, "
              f"{objects / told['seconds']:.0f} objects/s", flush=True)


def archived(server):
    return {row["state"]: row["count"] for row in server.admin("status")["archives"]}.get("archived", 0)


if __name__ == "__main__":
    if "--measure" in sys.argv:
        at = sys.argv.index("--measure")
        count = int(sys.argv[at + 1])
        del sys.argv[at : at + 2]
        import argparse

        options = harness.arguments(argparse.ArgumentParser(description=__doc__)).parse_args()
        measure(options.binary, count, harness.seed_of(options))
    else:
        harness.main_by_mode(__doc__, run)
