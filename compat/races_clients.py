"""What clients do in a race, each deed once, and what they see right after; the model follows what was acknowledged."""

import threading
import time
from dataclasses import dataclass, replace

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError

import harness
from harness import md5, status_of
from races_model import ENABLED, NULL, OFF, SUSPENDED, Version, changed, current, erased, of_put, written
from report import check, same

DAY_SECONDS = 3
STUCK_SECONDS = 300
PART = b"a part " * 5000
DONORS, DONOR = "races-donors", "donor"

MIGRATE, RESTORE, LAPSE = "migrate", "restore", "lapse"
# How long after the put, after the request for a restore, after its end, a deed comes at most.
SPREAD_SECONDS = {MIGRATE: 5.0, RESTORE: 4.0, LAPSE: 1.6 * DAY_SECONDS}

LOST = object()

# What is archived and not restored cannot be copied, and stays as it is. Garage forgets uploads that were begun before
# the newest whole object under their key, so that a stub ends them as any PUT does.
REFUSED = (
    *((name, "self copy", "InvalidObjectState") for name in ("ceph", "garage")),
    ("garage", "complete", "NoSuchUpload"),
)


@dataclass(frozen=True)
class Bucket:
    """A bucket of rounds: what its versioning is set to, and the deeds done in it."""

    name: str
    status: str
    deeds: tuple


PLAIN_DEEDS = ("overwrite", "same bytes", "self copy", "copy from", "copy over", "delete", "complete")
WITH_TAGS = ("write tags", "delete tags", "write acl")
BUCKETS = {
    "ceph": (
        Bucket("races-plain", OFF, (*PLAIN_DEEDS, *WITH_TAGS, "delete version")),
        Bucket("races-versions", ENABLED, (*PLAIN_DEEDS, *WITH_TAGS, "delete version")),
        Bucket("races-switched", ENABLED, ("switch and put", "switch and delete")),
    ),
    "garage": (Bucket("races-plain", OFF, PLAIN_DEEDS),),
}
FULL = ("ceph",)


@dataclass(frozen=True)
class Round:
    """`moment` is when the deed comes, as a part of the time there is for it."""

    bucket: Bucket
    key: str
    deed: str
    against: str
    moment: float
    public: bool


class Clients:
    """The clients; `keys` is what was acknowledged to them, by round."""

    def __init__(self, server, store, account):
        self.server, self.store = server, store
        self.full = store.name in FULL
        self.s3 = server.s3(read_timeout=30)
        self.direct = account.s3(retries=2)
        self.keys = {}
        self.lost = 0
        # Whether an answer may be lost at all.
        self.kills = False
        self.switch = threading.Lock()

    def put_donor(self):
        """The object that is copied over others, and what a copy keeps of it on this store."""
        more = {"Tagging": "turn=donor"} if self.full else {}
        self.s3.put_object(Bucket=DONORS, Key=DONOR, Body=b"donor" * 1000, Metadata={"turn": "donor"}, **more)
        names = {"Bucket": DONORS, "Key": "tried", "CopySource": {"Bucket": DONORS, "Key": DONOR}}
        self.direct.copy_object(**names)
        self.copied_tags = self.tags(self.direct, DONORS, "tried")
        names["CopySource"]["Key"] = "tried"
        self.direct.copy_object(MetadataDirective="REPLACE", Metadata={"turn": "again"}, **names)
        self.keeps_tags = self.tags(self.direct, DONORS, "tried") == self.copied_tags
        self.direct.delete_object(Bucket=DONORS, Key="tried")
        self.donor = of_put(b"donor" * 1000, {"turn": "donor"}, None, tags=self.copied_tags)

    def tags(self, s3, bucket, key, **version):
        if not self.full:
            return ()
        found = s3.get_object_tagging(Bucket=bucket, Key=key, **version)["TagSet"]
        return tuple(sorted((each["Key"], each["Value"]) for each in found))

    # --- asking ---

    def attempt(self, call, **arguments):
        """The answer to one request; LOST when it may have been done and nobody can say. Told to slow down, or with
        nobody listening, it was not done and the client asks again."""
        deadline = time.monotonic() + STUCK_SECONDS
        while True:
            try:
                return call(**arguments)
            except ClientError as error:
                if error.response["Error"]["Code"] != "SlowDown":
                    if status_of(error) < 500 or not self.kills:
                        raise
                    return LOST
                last = error
            except (EndpointConnectionError, ConnectTimeoutError) as error:
                check(self.kills, f"nobody listens: {error}")
                last = error
            except (BotoCoreError, OSError):
                if not self.kills:
                    raise
                return LOST
            check(time.monotonic() < deadline, f"stuck for {STUCK_SECONDS} s: {last}")
            time.sleep(harness.POLL_SECONDS)

    def insist(self, call, **arguments):
        """The answer to what may be asked as often as one likes; only a kill may leave it unanswered."""
        while True:
            try:
                answer = self.attempt(call, **arguments)
            except ClientError as error:
                if status_of(error) < 500 or not self.kills:
                    raise
                answer = LOST
            if answer is not LOST:
                return answer
            time.sleep(harness.POLL_SECONDS)

    # --- deeds: each gives (request, arguments, the states the key may be in by its answer) ---

    def overwrite(self, one, versions):
        return self.putting(one, fresh(one.key, "second"), {"turn": "second"})

    def same_bytes(self, one, versions):
        return self.putting(one, versions[0].data, {"turn": "second"})

    def putting(self, one, data, metadata, status=None):
        def outcome(answer):
            made = of_put(data, metadata, answer.get("VersionId"))
            return [written(self.keys[one].versions, made, status or one.bucket.status)]

        return self.s3.put_object, {"Body": data, "Metadata": metadata}, outcome

    def write_tags(self, one, versions):
        tags = (("turn", "second"),)
        named = {"TagSet": [{"Key": name, "Value": value} for name, value in tags]}
        return self.s3.put_object_tagging, {"Tagging": named}, lambda _: [changed(versions, tags=tags)]

    def delete_tags(self, one, versions):
        # RGW answers 204 and changes nothing when no version is named in a bucket that has them.
        named = {} if one.bucket.status == OFF else {"VersionId": versions[0].number}
        return self.s3.delete_object_tagging, named, lambda _: [changed(versions, tags=())]

    def write_acl(self, one, versions):
        acl = "private" if one.public else "public-read"
        return self.s3.put_object_acl, {"ACL": acl}, lambda _: [changed(versions, public=not one.public)]

    def self_copy(self, one, versions):
        metadata, old = {"turn": "copied"}, versions[0]
        # The gateway copies a restored object itself, and keeps the tags as S3 says; the store need not.
        kept = {old.tags if self.keeps_tags else ()} | ({old.tags} if one.against != MIGRATE else set())

        def outcome(answer):
            number, etag = answer.get("VersionId"), quoted(answer.get("CopyObjectResult", {}))
            made = [Version(number, old.data, etag, tuple(metadata.items()), tags) for tags in sorted(kept)]
            return [written(versions, each, one.bucket.status) for each in made]

        source = {"Bucket": one.bucket.name, "Key": one.key}
        asked = {"CopySource": source, "MetadataDirective": "REPLACE", "Metadata": metadata}
        return self.s3.copy_object, asked, outcome

    def copy_over(self, one, versions):
        def outcome(answer):
            made = Version(answer.get("VersionId"), self.donor.data, self.donor.etag, self.donor.metadata,
                           self.donor.tags)
            return [written(versions, made, one.bucket.status)]

        return self.s3.copy_object, {"CopySource": {"Bucket": DONORS, "Key": DONOR}}, outcome

    def delete(self, one, versions, status=None):
        def outcome(answer):
            return [written(versions, Version(answer.get("VersionId"), None), status or one.bucket.status)]

        return self.s3.delete_object, {}, outcome

    def delete_version(self, one, versions):
        number = versions[0].number
        return self.s3.delete_object, {"VersionId": number}, lambda _: [erased(versions, number)]

    def complete(self, one, versions):
        upload = self.insist(self.s3.create_multipart_upload, Bucket=one.bucket.name, Key=one.key,
                             Metadata={"turn": "parts"})["UploadId"]
        part = self.insist(self.s3.upload_part, Bucket=one.bucket.name, Key=one.key, UploadId=upload, PartNumber=1,
                           Body=PART)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}

        def outcome(answer):
            made = Version(answer.get("VersionId"), PART, quoted(answer), (("turn", "parts"),))
            return [written(versions, made, one.bucket.status)]

        return self.s3.complete_multipart_upload, {"UploadId": upload, "MultipartUpload": parts}, outcome

    def copy_from(self, one, versions):
        """A copy of what is on its way: exactly that, or a refusal because it is archived."""
        target = f"{one.key}-copy"
        source = {"Bucket": one.bucket.name, "Key": one.key}
        try:
            self.attempt(self.s3.copy_object, Bucket=DONORS, Key=target, CopySource=source)
            answer = self.insist(self.read, Bucket=DONORS, Key=target)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            allowed = ("InvalidObjectState", "NoSuchKey") if self.kills else ("InvalidObjectState",)
            check(code in allowed, f"copy of {one.key}: {error}")
            return None
        same(f"metadata of the copy of {one.key}", answer["Metadata"], dict(versions[0].metadata))
        check(answer["bytes"] == versions[0].data, f"a copy of {one.key} has other bytes")
        return None

    def switch_and_put(self, one, versions):
        data = fresh(one.key, "second")
        return self.switching(one, lambda status: self.putting(one, data, {"turn": "second"}, status))

    def switch_and_delete(self, one, versions):
        return self.switching(one, lambda status: self.delete(one, versions, status))

    def switching(self, one, deed):
        """The bucket's versioning the other way round, and a write at once."""
        with self.switch:
            bucket = one.bucket.name
            now = self.insist(self.s3.get_bucket_versioning, Bucket=bucket).get("Status")
            status = ENABLED if now == SUSPENDED else SUSPENDED
            self.set_versioning(bucket, status)
            self.act(one, deed(status))

    def set_versioning(self, bucket, status):
        self.insist(self.s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": status})

    # --- doing one and looking ---

    def do(self, one):
        key = self.keys[one]
        try:
            done = getattr(self, one.deed.replace(" ", "_"))(one, key.versions)
            if done is not None:
                self.act(one, done)
        except ClientError as error:
            refused = (self.store.name, one.deed, error.response["Error"]["Code"])
            check(refused in REFUSED, f"{one.deed} of {self.told(one)}: {error}")
        possible = self.look(one)
        if not self.kills:
            key.states = possible

    def act(self, one, deed):
        call, arguments, outcome = deed
        key = self.keys[one]
        answer = self.attempt(call, Bucket=one.bucket.name, Key=one.key, **arguments)
        if answer is LOST:
            self.lost += 1
            key.states = [key.versions, *outcome({})]
        else:
            key.states = outcome(answer)

    def look(self, one):
        """What a client sees right after its write was acknowledged."""
        key, found = self.keys[one], self.get(one)
        told = [differences(current(state), found) for state in key.states]
        possible = [state for state, wrong in zip(key.states, told) if not wrong]
        check(possible, f"{self.told(one)}, right after: {told}")
        if len(possible) == 1 and found is not None:
            version = replace(current(possible[0]), number=found["VersionId"], etag=found["ETag"])
            # In a bucket with versions Ceph tells the date of the tags in a head and that of the write in listings.
            # The latter is what clients go on seeing.
            if one.bucket.status == OFF or one.deed not in WITH_TAGS:
                self.dated(one, version, found["LastModified"])
        return possible

    def get(self, one, **version):
        """What is under the key now, with its bytes when they can be read; None when there is nothing."""
        names = {"Bucket": one.bucket.name, "Key": one.key, **version}
        try:
            answer = self.insist(self.read, **names)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("NoSuchKey", "NoSuchVersion"):
                return None
            check(code == "InvalidObjectState", f"GET of {one.key}: {error}")
            answer = self.insist(self.s3.head_object, **names)
            answer["bytes"] = None
        answer.setdefault("VersionId", NULL)
        answer["tags"] = self.insist(self.tags, s3=self.s3, bucket=one.bucket.name, key=one.key, **version)
        answer["public"] = self.insist(self.is_public, one=one, **version)
        return answer

    def read(self, **names):
        answer = self.s3.get_object(**names)
        return answer | {"bytes": answer["Body"].read()}

    def is_public(self, one, **version):
        if not self.full:
            return False
        grants = self.s3.get_object_acl(Bucket=one.bucket.name, Key=one.key, **version)["Grants"]
        return any(each["Grantee"].get("URI", "").endswith("/AllUsers") for each in grants)

    def dated(self, one, version, modified):
        """A version's date never changes but by a write."""
        seconds = int(modified.timestamp())
        known = self.keys[one].modified.setdefault(version, seconds)
        same(f"Last-Modified of {self.told(one)} {version.number}", seconds, known)

    def told(self, one):
        return f"{one.bucket.name}/{one.key}"


def quoted(answer):
    """The ETag of an answer, if it names one; some stores leave out the quotes in documents."""
    etag = answer.get("ETag")
    return f'"{etag.strip(chr(34))}"' if etag else None


def fresh(key, which):
    """Bytes no other write has."""
    return f"{which} {key} ".encode() * 200


def brief(version):
    return (version.number, "marker" if version.is_marker else len(version.data), version.etag)


def differences(version, found):
    """What is not as it was acknowledged, as text; empty when all of it is."""
    if version is None or found is None:
        return "" if version is None and found is None else f"expected {version and brief(version)}, saw {found}"
    watched = [
        ("version", version.number, found["VersionId"]),
        ("ETag", version.etag, found["ETag"]),
        ("size", len(version.data), found["ContentLength"]),
        ("metadata", dict(version.metadata), found["Metadata"]),
        ("bytes", md5(version.data), None if found["bytes"] is None else md5(found["bytes"])),
        ("tags", version.tags, found["tags"]),
        ("public", version.public, found["public"]),
    ]
    # A number or ETag no answer named yet is only seen now; bytes that are archived cannot be.
    wrong = [(name, expected, saw) for name, expected, saw in watched
             if expected != saw and None not in (expected, saw)]
    return f"(what, expected, seen): {wrong}" if wrong else ""
