"""The whole way of an object, small: in, to tape, refused, restored, out, expired, deleted. Every step exact."""

import datetime
import email.utils
import json
import random
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

import harness
from harness import MIB, MODES, body, in_threads, listing, md5, past_date_rule, refusal, restore, restored, wait_until
from report import check, same

DAY_SECONDS = 4
HOLD_SECONDS = 3
# Long enough for everything done with the copies, since the flow cuts it short itself.
DAYS = 100
ARCHIVE_SECONDS = 60
RESTORE_SECONDS = 60
TREE_FILES = 200
TREE = "tree"
ODD = "odd"
DIRECT = "direct"
AGED = "aged"

PIECE = re.compile(r"\.\d{5}-of-\d{5}$")
GET_REFUSED = "The operation is not valid for the object's storage class"
COPY_REFUSED = "Operation is not valid for the source object's storage class"
RESTORE_REFUSED = "Restore is not allowed for the object's current storage class"

ODD_KEYS = {
    "empty": b"",
    "ten bytes": b"0123456789",
    "with spaces  and two": b"spaces",
    "ünïcode/日本語/ключ-🗄": b"unicode",
    "plus+and+plus": b"plus",
    "per%cent/%2F%41": b"percent",
    "double//slash": b"double slash",
    "/leading/slash": b"leading slash",
    "trailing/": b"trailing slash",
    "l" * 1024: b"the longest key",
    "a": b"a file",
    "a/b": b"beside what looks like its folder",
    "quotes'\"&<>;=@:,$~!*()": b"punctuation",
    "stub-sized": b"s" * 1531,
    "one byte": b"1",
}
METADATA = {"colour": "blue", "note": "kept on tape"}


def is_hot(head):
    """Whether it is a plain object; some stores name the class of those too."""
    return head.get("StorageClass", "STANDARD") == "STANDARD" and "Restore" not in head


class Flow:
    """What the steps share."""

    # What goes under odd names; the buckets that are there at the end; whether the parts of an object are told.
    odd_keys = ODD_KEYS
    kept = (AGED, DIRECT)
    tells_parts = True

    def __init__(self, server, report, name, seed):
        self.server, self.report, self.name = server, report, name
        self.random = random.Random(seed)
        self.s3 = server.s3()
        self.tree = server.folder / "tree"
        self.before = {}
        self.hot_before = 0

    def run(self):
        for step in self.steps():
            with self.report.step(f"flow/{self.name}: {step.__name__.replace('_', ' ')}"):
                step()

    def steps(self):
        return [
            self.objects_go_in,
            self.the_rule_moves_them,
            self.archived_objects_are_refused,
            self.the_cli_skips_archived_objects,
            self.restores_run_and_end,
            self.restored_objects_come_out,
            self.the_cli_judges_by_class,
            self.copies_expire_and_are_restored_again,
            self.writes_straight_into_the_archive,
            self.a_rule_by_age,
            self.tapes_alone_give_everything,
            self.archived_objects_are_replaced_and_deleted,
            self.buckets_go,
        ]

    def hot_bytes(self):
        """Bytes the store holds of objects."""
        return self.server.hot_bytes()

    # --- in ---

    def objects_go_in(self):
        for bucket in (TREE, ODD, DIRECT, AGED):
            self.s3.create_bucket(Bucket=bucket)
        make_tree(self.tree, self.random)
        self.server.aws("s3", "sync", self.tree, f"s3://{TREE}", "--only-show-errors")
        for key, data in self.odd_keys.items():
            answer = self.s3.put_object(
                Bucket=ODD, Key=key, Body=data, ContentType="text/x-odd", CacheControl="no-store", Metadata=METADATA
            )
            same(f"ETag of {key!r}", answer["ETag"], f'"{md5(data)}"')
        self.multipart = self.random.randbytes(5 * MIB) + b"second part" * 1000
        put_multipart(self.s3, ODD, "multipart", self.multipart)
        self.before |= {bucket: listing(self.s3, bucket) for bucket in (TREE, ODD)}
        names = {str(path.relative_to(self.tree)) for path in self.tree.rglob("*") if path.is_file()}
        same("keys of the tree", set(self.before[TREE]), names)
        same("odd keys", set(self.before[ODD]), set(self.odd_keys) | {"multipart"})
        for bucket in self.before:
            same("classes before", {entry[3] for entry in self.before[bucket].values()}, {"STANDARD"})
        self.hot_before = self.hot_bytes()

    def the_rule_moves_them(self):
        for bucket in (TREE, ODD):
            same("no rule yet", refusal(self.s3.get_bucket_lifecycle_configuration, Bucket=bucket)[:2],
                 (404, "NoSuchLifecycleConfiguration"))
            harness.put_rule(self.s3, bucket, past_date_rule())
            rules = self.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
            same("the rule's id", [rule["ID"] for rule in rules], ["to-glacier"])
        for bucket in (TREE, ODD):
            after = harness.wait_archived(self.s3, bucket, ARCHIVE_SECONDS)
            self.unchanged(bucket, after)
        # A stub takes a block of the disk; objects smaller than a stub stay.
        objects = sum(len(entries) for entries in self.before.values())
        wait_until(lambda: self.hot_bytes() <= objects * 4096, 20, "hot bytes shrank to the stubs")
        check(self.hot_before > 10 * MIB, f"only {self.hot_before} bytes were hot before")

    def unchanged(self, bucket, after):
        """Size, ETag, LastModified as before; archived."""
        same(f"keys of {bucket}", set(after), set(self.before[bucket]))
        for key, entry in after.items():
            same(f"listing of {key!r}", entry, (*self.before[bucket][key][:3], "GLACIER"))

    def face(self, key):
        """What the headers of an archived odd key say: whole seconds, where a store may list finer."""
        size, etag, listed, _ = self.before[ODD][key]
        return size, etag, listed.replace(microsecond=0), "GLACIER"

    # --- refused ---

    def archived_objects_are_refused(self):
        for key, data in self.odd_keys.items():
            status, code, error = refusal(self.s3.get_object, Bucket=ODD, Key=key)
            same(f"GET of {key!r}", (status, code, error["Message"], error.get("StorageClass")),
                 (403, "InvalidObjectState", GET_REFUSED, "GLACIER"))
            head = self.s3.head_object(Bucket=ODD, Key=key)
            seen = (head["ContentLength"], head["ETag"], head["LastModified"], head["StorageClass"])
            same(f"HEAD of {key!r}", seen, self.face(key))
            same("type", (head["ContentType"], head["CacheControl"]), ("text/x-odd", "no-store"))
            same(f"metadata of {key!r}", head["Metadata"], METADATA)
            check("Restore" not in head, "x-amz-restore on an object never restored")
            same("size of what it is", head["ContentLength"], len(data))
        for more in ({"Range": "bytes=0-1"}, {"PartNumber": 1}, {"IfNoneMatch": self.before[ODD]["multipart"][1]},
                     {"Range": "bytes=100000000-"}, {"IfMatch": '"00000000000000000000000000000000"'}):
            same(f"GET with {more}", refusal(self.s3.get_object, Bucket=ODD, Key="multipart", **more)[:2],
                 (403, "InvalidObjectState"))
        source = {"Bucket": ODD, "Key": "ten bytes"}
        status, code, error = refusal(self.s3.copy_object, Bucket=DIRECT, Key="copy", CopySource=source)
        same("copy from the archive", (status, code, error["Message"]), (403, "InvalidObjectState", COPY_REFUSED))
        same("presigned GET", fetch(presigned(self.s3, ODD, "ten bytes"))[0], 403)
        self.s3.put_object(Bucket=DIRECT, Key="hot", Body=b"hot")
        status, code, error = refusal(
            self.s3.restore_object, Bucket=DIRECT, Key="hot", RestoreRequest={"Days": 1})
        same("restore of a hot object", (status, code, error["Message"]), (403, "InvalidObjectState", RESTORE_REFUSED))
        for request, expected in ((None, "MalformedXML"), ({"Days": 0}, "InvalidArgument")):
            more = {} if request is None else {"RestoreRequest": request}
            same(f"restore with {request}", refusal(self.s3.restore_object, Bucket=ODD, Key="a", **more)[:2],
                 (400, expected))
        same("restore of nothing",
             refusal(self.s3.restore_object, Bucket=ODD, Key="none", RestoreRequest={"Days": 1})[:2],
             (404, "NoSuchKey"))

    def the_cli_skips_archived_objects(self):
        aws, target = self.server.aws, self.server.folder / "skipped"
        key = next(iter(self.before[TREE]))
        told = aws("s3", "cp", f"s3://{TREE}/{key}", target, code=2)
        check("warning: Skipping file" in told and "GLACIER" in told, f"cp said: {told}")
        told = aws("s3", "cp", f"s3://{TREE}/{key}", target, "--force-glacier-transfer", code=1)
        check("InvalidObjectState" in told, f"forced cp said: {told}")
        same("silent", aws("s3", "cp", f"s3://{TREE}/{key}", target, "--ignore-glacier-warnings"), "")
        aws("s3", "mv", f"s3://{TREE}/{key}", target, code=2)
        check(not target.exists(), "the cli wrote a file from the archive")
        check(key in listing(self.s3, TREE), "mv deleted an archived source")
        told = aws("s3", "ls", f"s3://{TREE}/", "--recursive", "--summarize")
        check(f"Total Objects: {len(self.before[TREE])}" in told, f"ls said: {told[-200:]}")

    # --- restored ---

    def restores_run_and_end(self):
        began = time.time()

        def ask(place):
            bucket, key = place
            same(f"first restore of {key!r}", restore(self.s3, bucket, key, DAYS), 202)
            head = self.s3.head_object(Bucket=bucket, Key=key)
            same(f"HEAD of {key!r} meanwhile", head.get("Restore"), 'ongoing-request="true"')
            status, code, error = refusal(
                self.s3.restore_object, Bucket=bucket, Key=key, RestoreRequest={"Days": DAYS + 1})
            same("second restore", (status, code, error["Message"]),
                 (409, "RestoreAlreadyInProgress", "Object restore is already in progress"))
            if bucket == ODD:
                same(f"GET of {key!r} meanwhile", refusal(self.s3.get_object, Bucket=bucket, Key=key)[:2],
                     (403, "InvalidObjectState"))

        in_threads(ask, self.places(), threads=4)
        for bucket, key in self.places():
            wait_until(lambda: restored(self.s3, bucket, key), RESTORE_SECONDS, f"{key!r} is restored")
            head = self.s3.head_object(Bucket=bucket, Key=key)
            expiry = expiry_of(head["Restore"])
            earliest, latest = began + DAYS * DAY_SECONDS - 1, time.time() + DAYS * DAY_SECONDS + 1
            check(earliest <= expiry <= latest, f"expiry {expiry} is not within {earliest} to {latest}")

    def places(self):
        return [(bucket, key) for bucket in (ODD, TREE) for key in self.before[bucket]]

    def restored_objects_come_out(self):
        out = self.server.folder / "out"
        self.server.aws("s3", "sync", f"s3://{TREE}", out, "--force-glacier-transfer", "--only-show-errors")
        same("the tree out", harness.tree_digests(out), harness.tree_digests(self.tree))
        for key, data in self.odd().items():
            answer = self.s3.get_object(Bucket=ODD, Key=key)
            check(answer["Body"].read() == data, f"other bytes of {key!r}")
            seen = (answer["ContentLength"], answer["ETag"], answer["LastModified"], answer["StorageClass"])
            same(f"GET of {key!r}", seen, self.face(key))
        self.parts_of_a_restored_copy()
        for bucket in (TREE, ODD):
            self.unchanged(bucket, listing(self.s3, bucket))
        page = self.s3.list_objects_v2(Bucket=ODD, OptionalObjectAttributes=["RestoreStatus"])
        for entry in page["Contents"]:
            status = entry.get("RestoreStatus", {})
            check(status.get("IsRestoreInProgress") is False and "RestoreExpiryDate" in status,
                  f"RestoreStatus of {entry['Key']!r}: {status}")
        self.s3.copy_object(Bucket=DIRECT, Key="copied", CopySource={"Bucket": ODD, "Key": "multipart"})
        check(body(self.s3, DIRECT, "copied") == self.multipart, "the copy has other bytes")
        head = self.s3.head_object(Bucket=DIRECT, Key="copied")
        check(is_hot(head), "the copy is not a plain STANDARD object")

    def parts_of_a_restored_copy(self):
        """Ranges, conditions and part numbers are judged as if nothing had moved."""
        whole, etag = self.multipart, self.before[ODD]["multipart"][1]
        get = lambda **more: self.s3.get_object(Bucket=ODD, Key="multipart", **more)
        ranged = get(Range="bytes=5242870-5242899")
        same("range", (ranged["Body"].read(), ranged["ContentRange"]),
             (whole[5242870:5242900], f"bytes 5242870-5242899/{len(whole)}"))
        if self.tells_parts:
            second = get(PartNumber=2)
            check(second["Body"].read() == whole[5 * MIB :], "part 2 has other bytes")
            same("parts", second["PartsCount"], 2)
        same("If-None-Match", refusal(get, IfNoneMatch=etag)[0], 304)
        same("If-Match", refusal(get, IfMatch='"0"')[:2], (412, "PreconditionFailed"))
        same("beyond the end", refusal(get, Range="bytes=100000000-")[:2], (416, "InvalidRange"))
        check(get(IfMatch=etag)["Body"].read() == whole, "If-Match gives other bytes")
        same("presigned GET", fetch(presigned(self.s3, ODD, "multipart")), (200, whole))

    def the_cli_judges_by_class(self):
        aws, target = self.server.aws, self.server.folder / "judged"
        key = next(iter(self.before[TREE]))
        aws("s3", "cp", f"s3://{TREE}/{key}", target / "one", "--only-show-errors")
        same("cp of a restored object", harness.file_sha256(target / "one"), harness.file_sha256(self.tree / key))
        told = aws("s3", "sync", f"s3://{TREE}", target / "many", code=2)
        check("Skipping file" in told, f"sync said: {told[-200:]}")
        same("files copied by class", harness.tree_digests(target / "many"), {})

    def copies_expire_and_are_restored_again(self):
        # A restore of a live copy moves its end, here to sooner.
        in_threads(lambda place: same("restore of a live copy", restore(self.s3, *place, 1), 200), self.places())
        for bucket, key in self.places():
            wait_until(lambda: "Restore" not in self.s3.head_object(Bucket=bucket, Key=key),
                       DAY_SECONDS + 20, f"the copy of {key!r} expired")
        for key in self.odd_keys:
            same(f"GET of {key!r} after expiry", refusal(self.s3.get_object, Bucket=ODD, Key=key)[:2],
                 (403, "InvalidObjectState"))
        for bucket in (TREE, ODD):
            self.unchanged(bucket, listing(self.s3, bucket))
        for key in ("multipart", "empty", "a/b"):
            same("restore after expiry", restore(self.s3, ODD, key, DAYS), 202)
        for key in ("multipart", "empty", "a/b"):
            wait_until(lambda: restored(self.s3, ODD, key), RESTORE_SECONDS, f"{key!r} is restored again")
            check(body(self.s3, ODD, key) == self.odd()[key], f"other bytes of {key!r} the second time")

    def odd(self):
        return self.odd_keys | {"multipart": self.multipart}

    # --- other ways into the archive ---

    def writes_straight_into_the_archive(self):
        local = self.server.folder / "large"
        local.write_bytes(self.random.randbytes(9 * MIB))
        self.server.aws("s3", "cp", local, f"s3://{DIRECT}/by-cli", "--storage-class", "GLACIER", "--only-show-errors")
        deep = b"deep" * 50_000
        answer = self.s3.put_object(
            Bucket=DIRECT, Key="deep", Body=deep, StorageClass="DEEP_ARCHIVE", Metadata=METADATA)
        same("ETag", answer["ETag"], f'"{md5(deep)}"')
        self.s3.copy_object(
            Bucket=DIRECT, Key="hot", CopySource={"Bucket": DIRECT, "Key": "hot"}, StorageClass="GLACIER")
        contents = {"by-cli": local.read_bytes(), "deep": deep, "hot": b"hot"}
        classes = {"by-cli": "GLACIER", "deep": "DEEP_ARCHIVE", "hot": "GLACIER"}
        for key, storage_class in classes.items():
            _, code, error = refusal(self.s3.get_object, Bucket=DIRECT, Key=key)
            same(f"GET of {key}", (code, error.get("StorageClass")), ("InvalidObjectState", storage_class))
            same(f"class of {key}", listing(self.s3, DIRECT)[key][3], storage_class)
        tier = {"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}}
        same("Expedited", refusal(self.s3.restore_object, Bucket=DIRECT, Key="deep", RestoreRequest=tier)[:2],
             (400, "InvalidArgument"))
        for key in contents:
            same("restore", restore(self.s3, DIRECT, key, DAYS), 202)
        for key, data in contents.items():
            wait_until(lambda: restored(self.s3, DIRECT, key), RESTORE_SECONDS, f"{key} is restored")
            check(body(self.s3, DIRECT, key) == data, f"other bytes of {key}")
        # The way back for good: a copy onto itself.
        self.s3.copy_object(
            Bucket=DIRECT, Key="deep", CopySource={"Bucket": DIRECT, "Key": "deep"}, StorageClass="STANDARD")
        head = self.s3.head_object(Bucket=DIRECT, Key="deep")
        check(is_hot(head), f"still archived: {head}")
        same("metadata", head["Metadata"], METADATA)
        check(body(self.s3, DIRECT, "deep") == deep, "other bytes after the copy onto itself")

    def a_rule_by_age(self):
        rule = past_date_rule()
        rule["Rules"][0]["Transitions"] = [{"Days": 1, "StorageClass": "DEEP_ARCHIVE"}]
        harness.put_rule(self.s3, AGED, rule)
        self.s3.put_object(Bucket=AGED, Key="young", Body=b"y" * 5000)
        due = self.s3.head_object(Bucket=AGED, Key="young")["LastModified"].timestamp() + DAY_SECONDS
        harness.wait_archived(self.s3, AGED, ARCHIVE_SECONDS, "DEEP_ARCHIVE")
        check(time.time() >= due, f"archived {due - time.time()} s before its day")

    def tapes_alone_give_everything(self):
        before = {bucket: listing(self.s3, bucket) for bucket in (TREE, ODD, AGED)}
        self.server.stop()
        seen = tape_contents(self.server)
        expected = {(ODD, key): data for key, data in self.odd().items()}
        expected |= {(TREE, key): (self.tree / key).read_bytes() for key in self.before[TREE]}
        expected |= {(AGED, "young"): b"y" * 5000}
        for place, data in expected.items():
            check(seen.get(place) == md5(data), f"the cartridges do not give {place}")
        self.server.start()
        for bucket, entries in before.items():
            same(f"{bucket} after the restart", listing(self.s3, bucket), entries)

    # --- the end ---

    def archived_objects_are_replaced_and_deleted(self):
        self.s3.put_object(Bucket=ODD, Key="a", Body=b"a new file")
        same("size after the overwrite", self.s3.head_object(Bucket=ODD, Key="a")["ContentLength"], 10)
        harness.wait_archived(self.s3, ODD, ARCHIVE_SECONDS)
        restore(self.s3, ODD, "a", DAYS)
        wait_until(lambda: restored(self.s3, ODD, "a"), RESTORE_SECONDS, "the new object is restored")
        same("bytes after the overwrite", body(self.s3, ODD, "a"), b"a new file")
        answer = self.s3.delete_object(Bucket=ODD, Key="one byte")
        same("delete", answer["ResponseMetadata"]["HTTPStatusCode"], 204)
        same("HEAD of a deleted object", refusal(self.s3.head_object, Bucket=ODD, Key="one byte")[0], 404)
        same("restore of a deleted object",
             refusal(self.s3.restore_object, Bucket=ODD, Key="one byte", RestoreRequest={"Days": 1})[:2],
             (404, "NoSuchKey"))
        keys = [{"Key": key} for key in listing(self.s3, ODD)]
        answer = self.s3.delete_objects(Bucket=ODD, Delete={"Objects": keys})
        same("deleted", {each["Key"] for each in answer["Deleted"]}, {each["Key"] for each in keys})
        check("Errors" not in answer, f"errors: {answer.get('Errors')}")
        same("the bucket", listing(self.s3, ODD), {})

    def buckets_go(self):
        same("delete of a full bucket", refusal(self.s3.delete_bucket, Bucket=TREE)[:2], (409, "BucketNotEmpty"))
        self.server.aws("s3", "rm", f"s3://{TREE}", "--recursive", "--only-show-errors")
        for bucket in (TREE, ODD):
            self.s3.delete_bucket(Bucket=bucket)
        same("the rule went with it", refusal(self.s3.get_bucket_lifecycle_configuration, Bucket=TREE)[:2],
             (404, "NoSuchBucket"))
        same("buckets", sorted(bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]), sorted(self.kept))
        self.s3.create_bucket(Bucket=TREE)
        same("a new bucket of an old name", refusal(self.s3.get_bucket_lifecycle_configuration, Bucket=TREE)[:2],
             (404, "NoSuchLifecycleConfiguration"))


def make_tree(folder, source):
    """A few hundred files of all sizes, some that compress and some that do not."""
    for number in range(TREE_FILES):
        size = source.choice((1, 100, 1531, 4096, 20_000, 131_072, 300_000))
        path = folder / f"folder {number % 7}" / f"file-{number:04}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = f"line {number} ".encode() * (size // 8 + 1)
        path.write_bytes(source.randbytes(size) if number % 2 else text[:size])


def put_multipart(s3, bucket, key, data):
    """Two parts by hand: 5 MiB and the rest."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = []
    for number, part in enumerate((data[: 5 * MIB], data[5 * MIB :]), start=1):
        answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=part)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})


def tape_contents(server):
    """What the cartridges alone hold: MD5 of the newest bytes by (bucket, key). The server must be stopped."""
    target = server.folder / "from-tape"
    told = server.command("tape", "read", server.data / "library-main", "--to", target, "--json")
    newest = {}
    for line in told.splitlines():
        record = json.loads(line)
        place = (record["bucket"], record["key"])
        # Archive ids sort by the time they were made.
        if place not in newest or record["archive"] > newest[place][0]:
            # The pieces of a large object are joined under its name.
            whole = PIECE.sub("", record["path"]) if record["segment"] else record["path"]
            newest[place] = (record["archive"], Path(target, whole))
    return {place: md5(path.read_bytes()) for place, (_, path) in newest.items()}


def presigned(s3, bucket, key):
    return s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=300)


def fetch(url):
    """(status, bytes) of a plain GET."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def expiry_of(header):
    """The time in an x-amz-restore header, which must be to the letter."""
    found = re.fullmatch(r'ongoing-request="false", expiry-date="([^"]+)"', header)
    check(found, f"x-amz-restore is {header!r}")
    when = email.utils.parsedate_to_datetime(found[1])
    same("the date's form", found[1], when.astimezone(datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"))
    return when.timestamp()


def run(report, binary, mode, seed):
    testing = {
        "day_seconds": DAY_SECONDS,
        "lifecycle_interval_seconds": 1,
        "grace_seconds": 0,
        "restore_hold_seconds": HOLD_SECONDS,
    }

    def scenario():
        with harness.server(binary, store={"pretend_remote": MODES[mode]}, testing=testing) as server:
            Flow(server, report, mode, seed).run()

    report.scenario(f"flow/{mode}", scenario)


if __name__ == "__main__":
    harness.main_by_mode(__doc__, run)
