"""The contract of gateway/SEMANTICS.md: a paragraph is a method of its name, tried on every store.

What a store does not offer stands in the table at the end of that file with its reason, and is skipped by it.
"""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import harness
import rawhttp
import stores
from flow import fetch, put_multipart, presigned
from harness import MIB, MODES, body, in_threads, listing, past_date_rule, refusal, restored, wait_until
from report import Report, check, same

CONTRACT = Path(__file__).resolve().parents[1] / "gateway" / "SEMANTICS.md"
DAY_SECONDS = 4
DAYS = 100
SECONDS = 90
THREADS = 6
RESERVED_HEADER = "x-amz-meta-tapegate"
METADATA = {"colour": "blue", "maker": "somebody"}
REFUSED = (403, "InvalidObjectState")
# What only the store's own client can bring about is tried where there is one.
STUB_BYTES_MAX = 1531


class Contract:
    """The paragraphs, each in a bucket of its own."""

    def __init__(self, server, place, store=None, account=None):
        self.server, self.place = server, place
        self.store, self.account = store, account
        self.s3 = server.s3(retries=3)
        self.direct = account.s3(retries=2) if account else None

    # --- what paragraphs share ---

    def bucket(self, name, versioning=None):
        bucket = bucket_of(name)
        self.s3.create_bucket(Bucket=bucket)
        if versioning:
            self.versioning(bucket, versioning)
        return bucket

    def versioning(self, bucket, status):
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    def put(self, bucket, key, data, **more):
        return self.s3.put_object(Bucket=bucket, Key=key, Body=data, **more)

    def archive(self, bucket, storage_class="GLACIER"):
        """Sets a rule by which everything is due, and waits for it."""
        harness.put_rule(self.s3, bucket, past_date_rule(storage_class))
        return harness.wait_archived(self.s3, bucket, SECONDS, storage_class)

    def stop_archiving(self, bucket):
        self.s3.delete_bucket_lifecycle(Bucket=bucket)

    def restore(self, bucket, key, days=DAYS, **version):
        answer = self.s3.restore_object(Bucket=bucket, Key=key, RestoreRequest={"Days": days}, **version)
        same(f"restore of {key}", answer["ResponseMetadata"]["HTTPStatusCode"], 202)
        wait_until(lambda: self.readable(bucket, key, **version), SECONDS, f"{key} is restored")

    def readable(self, bucket, key, **version):
        head = self.s3.head_object(Bucket=bucket, Key=key, **version)
        return 'ongoing-request="false"' in head.get("Restore", "")

    def refused(self, bucket, key, **version):
        status, code, error = refusal(self.s3.get_object, Bucket=bucket, Key=key, **version)
        same(f"GET of {key}", (status, code), REFUSED)
        return error

    # --- objects that are not archived ---

    def hot_objects_are_the_stores(self):
        bucket = self.bucket("hot_objects_are_the_stores")
        data = b"hot bytes " * 500
        etag = self.put(bucket, "folder/key", data, Metadata=METADATA, ContentType="text/plain")["ETag"]
        for number in range(5):
            self.put(bucket, f"folder/{number}", b"x" * number)
        self.put(bucket, "top", b"")
        answer = self.s3.get_object(Bucket=bucket, Key="folder/key")
        same("answer", (answer["Body"].read(), answer["ETag"], answer["Metadata"], answer["ContentType"]),
             (data, etag, METADATA, "text/plain"))
        page = self.s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=1)
        same("first page", ([each["Prefix"] for each in page.get("CommonPrefixes", [])], page["IsTruncated"]),
             (["folder/"], True))
        page = self.s3.list_objects_v2(Bucket=bucket, Delimiter="/", ContinuationToken=page["NextContinuationToken"])
        same("second page", [each["Key"] for each in page["Contents"]], ["top"])
        same("range", self.s3.get_object(Bucket=bucket, Key="folder/key", Range="bytes=0-3")["Body"].read(), b"hot ")
        same("no such key", refusal(self.s3.get_object, Bucket=bucket, Key="none")[:2], (404, "NoSuchKey"))
        if self.direct:
            seen = self.direct.head_object(Bucket=bucket, Key="folder/key")
            same("as the store has it", (seen["ETag"], seen["Metadata"]), (etag, METADATA))

    def objects_from_before(self):
        # Where the store cannot be reached but through the gateway, "before" is before there was a rule.
        writer, bucket = self.direct or self.s3, bucket_of("objects_from_before")
        writer.create_bucket(Bucket=bucket)
        objects = {"one": b"one " * 1000, "empty": b"", "ünï/ключ": b"unicode " * 300}
        for key, data in objects.items():
            # Each by a client of its own: after one without bytes Garage leaves botocore waiting on its connection.
            fresh = self.account.s3() if self.account else self.s3
            fresh.put_object(Bucket=bucket, Key=key, Body=data, Metadata=METADATA)
        before = listing(writer, bucket)
        faces = {key: face for key, (*face, _) in self.archive(bucket).items()}
        same("listing", faces, {key: face for key, (*face, _) in before.items()})
        for key, data in objects.items():
            self.refused(bucket, key)
            self.restore(bucket, key)
            same(f"bytes of {key}", body(self.s3, bucket, key), data)
            same(f"metadata of {key}", self.s3.head_object(Bucket=bucket, Key=key)["Metadata"], METADATA)

    # --- the face of an archived object ---

    def archived_keeps_its_face(self):
        bucket = self.bucket("archived_keeps_its_face")
        self.put(bucket, "key", b"face " * 2000, Metadata=METADATA, ContentType="text/plain",
                 ContentLanguage="de", ContentDisposition="inline", CacheControl="no-cache",
                 ContentEncoding="identity")
        put_multipart(self.s3, bucket, "parts", b"p" * (5 * MIB + 100))
        watched = ("ContentLength", "ETag", "LastModified", "ContentType", "ContentLanguage", "ContentDisposition",
                   "CacheControl", "ContentEncoding", "Metadata", "VersionId")

        def face(key):
            head = self.s3.head_object(Bucket=bucket, Key=key)
            same(f"reserved header of {key}", RESERVED_HEADER in head["ResponseMetadata"]["HTTPHeaders"], False)
            return {name: head.get(name) for name in watched}, head.get("StorageClass")

        before, hot = listing(self.s3, bucket), {key: face(key)[0] for key in ("key", "parts")}
        after = self.archive(bucket)
        for key in ("key", "parts"):
            same(f"HEAD of {key}", face(key), (hot[key], "GLACIER"))
            same(f"listing of {key}", after[key], (*before[key][:3], "GLACIER"))
        first = self.s3.list_objects(Bucket=bucket)["Contents"]
        same("listing V1", {each["Key"]: (each["Size"], each["ETag"], each["LastModified"], each["StorageClass"])
                            for each in first}, after)
        if self.direct:
            small = {key: entry[0] for key, entry in listing(self.direct, bucket).items()}
            check(all(size <= STUB_BYTES_MAX for size in small.values()), f"the store still has {small}")

    def archived_is_refused(self):
        bucket = self.bucket("archived_is_refused")
        self.put(bucket, "key", b"refused " * 1000)
        self.archive(bucket, "DEEP_ARCHIVE")
        same("class", self.refused(bucket, "key").get("StorageClass"), "DEEP_ARCHIVE")
        same("presigned GET", fetch(presigned(self.s3, bucket, "key"))[0], 403)
        head = self.s3.head_object(Bucket=bucket, Key="key")
        same("HEAD", (head["ContentLength"], head["StorageClass"], "Restore" in head), (8000, "DEEP_ARCHIVE", False))

    def conditions_are_about_the_original(self):
        bucket = self.bucket("conditions_are_about_the_original")
        etag = self.put(bucket, "key", b"condition " * 500)["ETag"]
        date = self.s3.head_object(Bucket=bucket, Key="key")["LastModified"]
        self.archive(bucket)
        head = {"Bucket": bucket, "Key": "key"}
        same("If-Match", self.s3.head_object(**head, IfMatch=etag)["ETag"], etag)
        same("If-None-Match", refusal(self.s3.head_object, **head, IfNoneMatch=etag)[0], 304)
        same("another If-Match", refusal(self.s3.head_object, **head, IfMatch='"0"')[0], 412)
        same("If-Modified-Since", refusal(self.s3.head_object, **head, IfModifiedSince=date)[0], 304)
        self.restore(bucket, "key")
        same("restored, If-None-Match", refusal(self.s3.get_object, **head, IfNoneMatch=etag)[0], 304)
        same("restored, If-Match", self.s3.get_object(**head, IfMatch=etag)["Body"].read(), b"condition " * 500)
        # A condition of a write names the object the client knows, not what stands in its place.
        if self.place.put_conditions:
            self.stop_archiving(bucket)
            same("PUT, another If-Match", refusal(self.put, bucket=bucket, key="key", data=b"no", IfMatch='"0"')[0],
                 412)
            self.put(bucket, "key", b"yes", IfMatch=etag)
            same("overwritten", body(self.s3, bucket, "key"), b"yes")

    def small_objects_too(self):
        bucket = self.bucket("small_objects_too")
        objects = {"empty": b"", "ten": b"0123456789", "stub-sized": b"s" * STUB_BYTES_MAX}
        for key, data in objects.items():
            self.put(bucket, key, data, Metadata=METADATA)
        before = listing(self.s3, bucket)
        after = self.archive(bucket)
        for key, data in objects.items():
            same(f"listing of {key}", after[key][:3], before[key][:3])
            self.refused(bucket, key)
            self.restore(bucket, key)
            same(f"bytes of {key}", body(self.s3, bucket, key), data)

    def much_metadata_is_kept(self):
        bucket = self.bucket("much_metadata_is_kept")
        # With the names this is S3's limit of 2 048 bytes to the byte.
        metadata = {"a": "x" * 1000, "b": "y" * 1000, "c": "z" * 45}
        self.put(bucket, "key", b"metadata " * 500, Metadata=metadata)
        self.archive(bucket)
        same("archived", self.s3.head_object(Bucket=bucket, Key="key")["Metadata"], metadata)
        self.restore(bucket, "key")
        same("restored", self.s3.get_object(Bucket=bucket, Key="key")["Metadata"], metadata)
        self.s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "key"})
        same("copied", self.s3.head_object(Bucket=bucket, Key="copy")["Metadata"], metadata)

    def direct_write(self):
        bucket = self.bucket("direct_write")
        data = b"straight " * 1000
        self.put(bucket, "put", data, StorageClass="GLACIER", Metadata=METADATA)
        self.refused(bucket, "put")
        self.put(bucket, "source", data)
        self.s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"},
                            StorageClass="DEEP_ARCHIVE")
        same("class of the copy", self.refused(bucket, "copy").get("StorageClass"), "DEEP_ARCHIVE")
        upload = self.s3.create_multipart_upload(Bucket=bucket, Key="upload", StorageClass="GLACIER")["UploadId"]
        part = self.s3.upload_part(Bucket=bucket, Key="upload", UploadId=upload, PartNumber=1, Body=data)["ETag"]
        self.s3.complete_multipart_upload(Bucket=bucket, Key="upload", UploadId=upload,
                                          MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
        self.refused(bucket, "upload")
        for key in ("put", "copy", "upload"):
            same(f"size of {key}", self.s3.head_object(Bucket=bucket, Key=key)["ContentLength"], len(data))
            self.restore(bucket, key)
            same(f"bytes of {key}", body(self.s3, bucket, key), data)
        same("metadata", self.s3.head_object(Bucket=bucket, Key="put")["Metadata"], METADATA)

    # --- restoring ---

    def restore_brings_back(self):
        bucket = self.bucket("restore_brings_back")
        data = b"restored " * 3000
        self.put(bucket, "key", data)
        self.archive(bucket)
        ask = {"Bucket": bucket, "Key": "key", "RestoreRequest": {"Days": 2}}
        same("asked", self.s3.restore_object(**ask)["ResponseMetadata"]["HTTPStatusCode"], 202)
        same("asked again", refusal(self.s3.restore_object, **ask)[:2], (409, "RestoreAlreadyInProgress"))
        same("ongoing", self.s3.head_object(Bucket=bucket, Key="key")["Restore"], 'ongoing-request="true"')
        self.refused(bucket, "key")
        wait_until(lambda: restored(self.s3, bucket, "key"), SECONDS, "the object is restored")
        same("bytes", body(self.s3, bucket, "key"), data)
        entry = self.s3.list_objects_v2(Bucket=bucket, OptionalObjectAttributes=["RestoreStatus"])["Contents"][0]
        check(entry["RestoreStatus"]["IsRestoreInProgress"] is False, f"RestoreStatus: {entry['RestoreStatus']}")
        same("more days", self.s3.restore_object(**ask)["ResponseMetadata"]["HTTPStatusCode"], 200)
        wait_until(lambda: "Restore" not in self.s3.head_object(Bucket=bucket, Key="key"), SECONDS, "the copy lapsed")
        self.refused(bucket, "key")

    def restored_reads_like_hot(self):
        bucket = self.bucket("restored_reads_like_hot")
        data = bytes(range(256)) * 4 * 5200
        put_multipart(self.s3, bucket, "key", data)
        etag = self.s3.head_object(Bucket=bucket, Key="key")["ETag"]
        self.archive(bucket)
        self.restore(bucket, "key")
        read = lambda **more: self.s3.get_object(Bucket=bucket, Key="key", **more)  # noqa: E731
        for asked, expected in (("bytes=0-0", data[:1]), (f"bytes={5 * MIB - 1}-{5 * MIB}", data[5 * MIB - 1:5 * MIB + 1]),
                                ("bytes=-7", data[-7:])):
            answer = read(Range=asked)
            same(asked, (answer["Body"].read(), answer["ResponseMetadata"]["HTTPStatusCode"]), (expected, 206))
        same("beyond the end", refusal(read, Range=f"bytes={len(data)}-")[:2], (416, "InvalidRange"))
        if self.place.parts:
            second = read(PartNumber=2)
            same("part 2", (second["Body"].read(), second["PartsCount"]), (data[5 * MIB:], 2))
        url = presigned(self.s3, bucket, "key")
        for validator, whole in ((etag, False), ('"other"', True)):
            request = urllib.request.Request(url, headers={"Range": "bytes=1-2", "If-Range": validator})
            with urllib.request.urlopen(request, timeout=30) as answer:
                same(f"If-Range {validator}", (answer.status, len(answer.read())),
                     (200, len(data)) if whole else (206, 2))

    def copies_from_archived(self):
        bucket = self.bucket("copies_from_archived")
        data = b"copied " * 900_000
        self.put(bucket, "key", data, Metadata=METADATA, ContentType="text/plain")
        self.archive(bucket)
        self.stop_archiving(bucket)
        source = {"Bucket": bucket, "Key": "key"}
        same("copy", refusal(self.s3.copy_object, Bucket=bucket, Key="copy", CopySource=source)[:2], REFUSED)
        upload = self.s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
        part = {"Bucket": bucket, "Key": "parts", "UploadId": upload, "CopySource": source}
        same("part", refusal(self.s3.upload_part_copy, PartNumber=1, **part)[:2], REFUSED)
        self.restore(bucket, "key")
        self.s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
        answer = self.s3.get_object(Bucket=bucket, Key="copy")
        same("copy's face", (answer["Metadata"], answer["ContentType"]), (METADATA, "text/plain"))
        same("copy's bytes", answer["Body"].read(), data)
        first = self.s3.upload_part_copy(PartNumber=1, CopySourceRange=f"bytes=0-{5 * MIB - 1}", **part)
        second = self.s3.upload_part_copy(PartNumber=2, CopySourceRange=f"bytes={5 * MIB}-{len(data) - 1}", **part)
        parts = [{"PartNumber": number, "ETag": each["CopyPartResult"]["ETag"]}
                 for number, each in enumerate((first, second), 1)]
        self.s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload,
                                          MultipartUpload={"Parts": parts})
        same("parts", body(self.s3, bucket, "parts"), data)

    # --- a client's write wins ---

    def overwrite_wins(self):
        bucket = self.bucket("overwrite_wins")
        keys = [f"{number:02}" for number in range(24)]
        in_threads(lambda key: self.put(bucket, key, b"first " * 500), keys)
        harness.put_rule(self.s3, bucket, past_date_rule())
        # Spread over the whole way to tape: each key's write comes once so many others are archived.
        contents = {}
        for place, key in enumerate(keys):
            wait_until(lambda: sum(entry[3] == "GLACIER" for entry in listing(self.s3, bucket).values()) >= place // 3,
                       SECONDS, f"{place // 3} objects are archived")
            contents[key] = f"second {key} ".encode() * 400
            self.put(bucket, key, contents[key])
            same(f"size of {key}", self.s3.head_object(Bucket=bucket, Key=key)["ContentLength"], len(contents[key]))
        harness.wait_archived(self.s3, bucket, SECONDS)
        key = keys[0]
        self.s3.restore_object(Bucket=bucket, Key=key, RestoreRequest={"Days": DAYS})
        contents[key] = b"third " * 500
        self.put(bucket, key, contents[key])
        harness.wait_archived(self.s3, bucket, SECONDS)
        for each in keys[:4]:
            same(f"no restore of {each}", "Restore" in self.s3.head_object(Bucket=bucket, Key=each), False)
            self.restore(bucket, each)
            same(f"bytes of {each}", body(self.s3, bucket, each), contents[each])

    def same_bytes_again(self):
        bucket = self.bucket("same_bytes_again")
        data = b"the same " * 500
        self.put(bucket, "key", data, Metadata={"turn": "first"})
        self.archive(bucket)
        self.put(bucket, "key", data, Metadata={"turn": "second"})
        same("at once", self.s3.head_object(Bucket=bucket, Key="key")["Metadata"], {"turn": "second"})
        harness.wait_archived(self.s3, bucket, SECONDS)
        same("archived", self.s3.head_object(Bucket=bucket, Key="key")["Metadata"], {"turn": "second"})
        self.restore(bucket, "key")
        same("restored", body(self.s3, bucket, "key"), data)

    def tags_and_acls_win(self):
        bucket = self.bucket("tags_and_acls_win")
        tags = lambda **each: {"TagSet": [{"Key": name, "Value": value} for name, value in sorted(each.items())]}  # noqa: E731
        self.put(bucket, "key", b"tagged " * 500, Tagging="colour=blue&size=a%20b")
        harness.put_rule(self.s3, bucket, past_date_rule())
        self.s3.put_object_tagging(Bucket=bucket, Key="key", Tagging=tags(colour="red"))
        self.s3.put_object_acl(Bucket=bucket, Key="key", ACL="public-read")
        harness.wait_archived(self.s3, bucket, SECONDS)

        def seen():
            return self.s3.get_object_tagging(Bucket=bucket, Key="key")["TagSet"]

        def is_public():
            grants = self.s3.get_object_acl(Bucket=bucket, Key="key")["Grants"]
            return any(each["Grantee"].get("URI", "").endswith("/AllUsers") for each in grants)

        same("tags", seen(), tags(colour="red")["TagSet"])
        check(is_public(), "the ACL written during the migration is gone")
        self.s3.put_object_tagging(Bucket=bucket, Key="key", Tagging=tags(colour="green", shape="round"))
        same("tags of an archived object", seen(), tags(colour="green", shape="round")["TagSet"])
        self.refused(bucket, "key")
        self.s3.delete_object_tagging(Bucket=bucket, Key="key")
        same("no tags", seen(), [])
        self.restore(bucket, "key")
        same("bytes", body(self.s3, bucket, "key"), b"tagged " * 500)
        check(is_public(), "the ACL did not outlive the restore")

    def delete_is_a_delete(self):
        bucket = self.bucket("delete_is_a_delete")
        for key in ("archived", "restored", "batch"):
            self.put(bucket, key, b"deleted " * 500)
        self.archive(bucket)
        self.restore(bucket, "restored")
        for key in ("archived", "restored"):
            self.s3.delete_object(Bucket=bucket, Key=key)
        answer = self.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "batch"}]})
        same("batch", [each["Key"] for each in answer["Deleted"]], ["batch"])
        for key in ("archived", "restored", "batch"):
            same(f"GET of {key}", refusal(self.s3.get_object, Bucket=bucket, Key=key)[:2], (404, "NoSuchKey"))
            same(f"restore of {key}", refusal(self.s3.restore_object, Bucket=bucket, Key=key,
                                              RestoreRequest={"Days": 1})[:2], (404, "NoSuchKey"))
        same("listing", listing(self.s3, bucket), {})

    # --- versions ---

    def version_ids_stay(self):
        bucket = self.bucket("version_ids_stay", "Enabled")
        ids = [self.put(bucket, "key", f"version {number} ".encode() * 400)["VersionId"] for number in range(2)]
        before = self.versions(bucket)
        self.archive(bucket)
        # The bytes that were replaced are gone for good before the object counts as archived.
        same("versions", self.versions(bucket), before)
        current = {"Bucket": bucket, "Key": "key", "VersionId": ids[1]}
        head = self.s3.head_object(**current)
        same("HEAD by id", (head["VersionId"], head["StorageClass"], head["ContentLength"]), (ids[1], "GLACIER", 4000))
        same("HEAD", self.s3.head_object(Bucket=bucket, Key="key")["VersionId"], ids[1])
        self.refused(bucket, "key", VersionId=ids[1])
        self.restore(bucket, "key", VersionId=ids[1])
        answer = self.s3.get_object(**current)
        same("GET by id", (answer["Body"].read(), answer["VersionId"]), (b"version 1 " * 400, ids[1]))
        same("the older version", body(self.s3, bucket, "key", VersionId=ids[0]), b"version 0 " * 400)
        if self.place.tags:
            self.s3.put_object_tagging(Tagging={"TagSet": [{"Key": "a", "Value": "b"}]}, **current)
            same("tags by id", self.s3.get_object_tagging(**current)["TagSet"], [{"Key": "a", "Value": "b"}])

    def versions_above(self):
        bucket = self.bucket("versions_above", "Enabled")
        first = self.put(bucket, "key", b"below " * 700)["VersionId"]
        self.archive(bucket)
        self.stop_archiving(bucket)
        second = self.put(bucket, "key", b"above " * 700)["VersionId"]
        same("current", body(self.s3, bucket, "key"), b"above " * 700)
        self.refused(bucket, "key", VersionId=first)
        self.restore(bucket, "key", VersionId=first)
        same("below", body(self.s3, bucket, "key", VersionId=first), b"below " * 700)
        marker = self.s3.delete_object(Bucket=bucket, Key="key")["VersionId"]
        same("behind a marker", refusal(self.s3.get_object, Bucket=bucket, Key="key")[0], 404)
        same("below the marker", body(self.s3, bucket, "key", VersionId=first), b"below " * 700)
        for each in (marker, second):
            self.s3.delete_object(Bucket=bucket, Key="key", VersionId=each)
        head = self.s3.head_object(Bucket=bucket, Key="key")
        same("current again", (head["VersionId"], head["StorageClass"], head["ContentLength"]),
             (first, "GLACIER", 4200))

    def deleting_a_version(self):
        bucket = self.bucket("deleting_a_version", "Enabled")
        version = self.put(bucket, "key", b"deleted " * 600)["VersionId"]
        other = self.put(bucket, "batch", b"deleted " * 600)["VersionId"]
        self.archive(bucket)
        self.s3.delete_object(Bucket=bucket, Key="key", VersionId=version)
        answer = self.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "batch", "VersionId": other}]})
        same("batch", [(each["Key"], each["VersionId"]) for each in answer["Deleted"]], [("batch", other)])
        for key, each in (("key", version), ("batch", other)):
            same(f"GET of {key}", refusal(self.s3.get_object, Bucket=bucket, Key=key, VersionId=each)[0], 404)
        same("versions", self.versions(bucket), [])
        if self.direct:
            left = self.direct.list_object_versions(Bucket=bucket)
            check("Versions" not in left and "DeleteMarkers" not in left, f"the store still has {left}")

    def suspended_versions(self):
        bucket = self.bucket("suspended_versions", "Enabled")
        old = self.put(bucket, "key", b"with an id " * 400)["VersionId"]
        kept = self.put(bucket, "kept", b"with an id too " * 400)["VersionId"]
        self.versioning(bucket, "Suspended")
        self.put(bucket, "key", b"null " * 900)
        harness.put_rule(self.s3, bucket, past_date_rule())
        wait_until(lambda: listing(self.s3, bucket)["key"][3] == "GLACIER", SECONDS, "the null version is archived")
        self.refused(bucket, "key")
        self.refused(bucket, "key", VersionId="null")
        same("with an id", body(self.s3, bucket, "key", VersionId=old), b"with an id " * 400)
        if not self.place.in_place:
            same("current with an id", body(self.s3, bucket, "kept", VersionId=kept), b"with an id too " * 400)
        self.restore(bucket, "key")
        same("null", body(self.s3, bucket, "key", VersionId="null"), b"null " * 900)

    def versions(self, bucket):
        answer = self.s3.list_object_versions(Bucket=bucket)
        return [(each["Key"], each["VersionId"], each["IsLatest"], each["ETag"], each["Size"], each["LastModified"])
                for each in answer.get("Versions", [])]

    # --- trust ---

    def forged_header(self):
        bucket = self.bucket("forged_header")
        other = self.bucket("forged_header_other")
        forged = {"tapegate": "v1;stub;01ARZ3NDEKTSV4RRFFQ69G5FAV;GLACIER;5;0;0;0"}
        same("set by a client", refusal(self.put, bucket=bucket, key="forged", data=b"x", Metadata=forged)[0], 400)
        # To Ceph these set it too.
        for name in ("x-goog-meta-tapegate", "x-rgw-meta-tapegate"):
            same(name, self.raw("PUT", f"/{bucket}/forged", headers={name: forged["tapegate"]})[0], 400)
        self.put(bucket, "key", b"secret " * 500)
        self.archive(bucket)
        self.restore(bucket, "key")
        # A store that looks past what it does not know would show the stub.
        shown = self.raw("GET", f"/{bucket}/key", "unheard-of")[2]
        check(b"moved to tape" not in shown, f"the stub is shown: {shown[:200]}")
        if not self.direct:
            return
        # Whoever can write to the store copies the stub under another key and into another bucket.
        stub = {"Bucket": bucket, "Key": "key"}
        self.direct.copy_object(Bucket=bucket, Key="copied", CopySource=stub)
        self.direct.copy_object(Bucket=other, Key="key", CopySource=stub)
        record = self.direct.head_object(**stub)["Metadata"]["tapegate"]
        self.direct.put_object(Bucket=bucket, Key="written", Body=b"x", Metadata={"tapegate": record})
        self.direct.put_object(Bucket=bucket, Key="broken", Body=b"x", Metadata={"tapegate": record[:-4] + "0000"})
        for where, key in ((bucket, "copied"), (other, "key"), (bucket, "written"), (bucket, "broken")):
            status = refusal(self.s3.get_object, Bucket=where, Key=key)[0]
            same(f"GET of {where}/{key}", status, 403)
            same(f"copy of {where}/{key}", refusal(self.s3.copy_object, Bucket=bucket, Key="gained",
                                                   CopySource={"Bucket": where, "Key": key})[0], 403)
        # The same key with the right record but other bytes: not what was taken over.
        self.direct.put_object(Bucket=bucket, Key="key", Body=b"y" * 99, Metadata={"tapegate": record})
        same("another object under its key", refusal(self.s3.get_object, **stub)[0], 403)
        self.copies_of_restored(bucket, archive=record.split(";")[2])

    def copies_of_restored(self, bucket, archive):
        """Whoever knows an archive's id cannot have its restored copy copied, nor its stub, however they are named."""
        free = f"{bucket}-free"
        self.s3.create_bucket(Bucket=free)
        reserved = self.doctor()["reserved"]["bucket"]
        pages = self.direct.get_paginator("list_objects_v2").paginate(Bucket=reserved)
        copy = next(each["Key"] for page in pages for each in page["Contents"] if each["Key"].endswith(archive))
        # To Ceph a question mark ends the key.
        stub = (f"{bucket}/key?unheard-of", f"{bucket}/key?a=b&versionId=null", f":{bucket}/key")
        for source in (f"{reserved}/{copy}", f":{reserved}/{copy}", f"/%3A{reserved}/{copy}", *stub):
            for query in ("", "unheard-of"):
                told = self.raw("PUT", f"/{free}/gained", query, headers={"x-amz-copy-source": source})
                check(told[0] in (400, 404, 501), f"a copy of {source} with {query!r}: {told}")
        same("gained", listing(self.direct, free), {})

    def raw(self, method, path, query="", **more):
        return rawhttp.ask(self.server.port, rawhttp.Request(method, path, query, **more))

    def reserved_bucket_is_hidden(self):
        bucket = self.bucket("reserved_bucket_is_hidden")
        reserved = self.doctor()["reserved"]["bucket"]
        names = [each["Name"] for each in self.s3.list_buckets()["Buckets"]]
        check(bucket in names and reserved not in names, f"buckets: {names}")
        for call, more in ((self.s3.list_objects_v2, {}), (self.s3.get_object, {"Key": "catalog"}),
                           (self.s3.delete_bucket, {})):
            same(f"{call.__name__} of it", refusal(call, Bucket=reserved, **more)[:2], (404, "NoSuchBucket"))
        same("copy from it", refusal(self.s3.copy_object, Bucket=bucket, Key="gained",
                                     CopySource={"Bucket": reserved, "Key": "catalog"})[:2], (404, "NoSuchBucket"))

    def exclusive_or_refused(self):
        bucket = bucket_of("exclusive_or_refused")
        self.s3.create_bucket(Bucket=bucket)
        self.put(bucket, "key", b"stays " * 500)
        harness.put_rule(self.s3, bucket, past_date_rule())
        report = {each["name"]: each for each in self.doctor()["buckets"]}
        refusals = [each["reason"] for each in report[bucket]["refusals"]]
        same("doctor's verdict", "not_exclusive" in refusals, not self.place.compare_and_set)
        if self.place.compare_and_set:
            harness.wait_archived(self.s3, bucket, SECONDS)
            return
        # As long as it takes another bucket to be archived, nothing happens here.
        witness = self.bucket("exclusive_or_refused_witness")
        self.put(witness, "key", b"goes " * 500)
        self.archive(witness)
        same("bytes", body(self.s3, bucket, "key"), b"stays " * 500)
        same("class", listing(self.s3, bucket)["key"][3], "STANDARD")

    def doctor(self):
        place = ["--data", self.server.data, "--admin", f"127.0.0.1:{self.server.admin_port}"]
        done = subprocess.run([self.server.binary, "doctor", *map(str, place), "--json"], capture_output=True,
                              env=self.server.environment(), timeout=120)
        check(done.returncode in (0, 1), f"doctor: {done.returncode}: {done.stderr.decode()}")
        return json.loads(done.stdout)

    # --- one owner of the rules ---

    def rules_have_one_owner(self):
        if not self.direct:
            return self.rules_on_the_embedded_store()
        bucket = bucket_of("rules_have_one_owner")
        self.direct.create_bucket(Bucket=bucket)
        rule = {"Rules": [{"ID": "old logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"},
                           "Expiration": {"Days": 1000}}]}
        self.direct.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rule)
        self.admin("bucket", "enable", f"s3://{bucket}", "--exclusive")
        taken = self.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
        same("taken over", [each["ID"] for each in taken], ["old logs"])
        same("on the store", refusal(self.direct.get_bucket_lifecycle_configuration, Bucket=bucket)[0], 404)
        self.put(bucket, "first", b"first " * 500)
        self.archive(bucket)
        self.direct.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=rule)

        def noticed():
            found = {each["name"]: each for each in self.doctor()["buckets"]}[bucket]["refusals"]
            return "foreign_rules" in [each["reason"] for each in found]

        wait_until(noticed, SECONDS, "the foreign rule is noticed")

    def rules_on_the_embedded_store(self):
        bucket = self.bucket("rules_have_one_owner")
        harness.put_rule(self.s3, bucket, past_date_rule())
        same("rules", len(self.s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]), 1)
        self.s3.delete_bucket_lifecycle(Bucket=bucket)
        same("no rules", refusal(self.s3.get_bucket_lifecycle_configuration, Bucket=bucket)[:2],
             (404, "NoSuchLifecycleConfiguration"))

    def detach_gives_back(self):
        bucket = self.bucket("detach_gives_back")
        objects = {"one": b"one " * 1000, "small": b"s", "ünï/ключ": b"unicode " * 300}
        for key, data in objects.items():
            self.put(bucket, key, data, Metadata=METADATA, ContentType="text/plain",
                     **({"Tagging": "a=b"} if self.place.tags else {}))
        objects["parts"] = b"part " * (MIB + 50)
        put_multipart(self.s3, bucket, "parts", objects["parts"])
        before = listing(self.s3, bucket)
        self.archive(bucket)
        self.admin("bucket", "detach", f"s3://{bucket}")
        reader = self.direct or self.s3
        for key, data in objects.items():
            answer = reader.get_object(Bucket=bucket, Key=key)
            check(answer["Body"].read() == data, f"other bytes of {key}")
            if key != "parts" or self.place.parts:
                same(f"ETag of {key}", answer["ETag"], before[key][1])
            check("tapegate" not in answer["Metadata"], f"{key} still has the reserved header")
            if key != "parts":
                same(f"face of {key}", (answer["Metadata"], answer["ContentType"]), (METADATA, "text/plain"))
                if self.place.tags:
                    same(f"tags of {key}", reader.get_object_tagging(Bucket=bucket, Key=key)["TagSet"],
                         [{"Key": "a", "Value": "b"}])
        self.put(bucket, "after", b"after " * 500)
        same("class", listing(self.s3, bucket)["after"][3], "STANDARD")

    def admin(self, *arguments):
        place = ["--data", self.server.data, "--admin", f"127.0.0.1:{self.server.admin_port}"]
        return self.server.command(*arguments, *place)

    # --- when the store is away: last and alone, for it is away for all ---

    def store_away(self):
        bucket = self.bucket("store_away")
        data = {f"{number:02}": f"away {number} ".encode() * 600 for number in range(40)}
        in_threads(lambda key: self.put(bucket, key, data[key]), list(data))
        harness.put_rule(self.s3, bucket, past_date_rule())
        with self.gone():
            s3 = self.server.s3()
            if self.store:
                same("GET", refusal(s3.get_object, Bucket=bucket, Key="00")[0], 503)
                same("PUT", refusal(s3.put_object, Bucket=bucket, Key="never", Body=b"")[0], 503)
        harness.wait_archived(self.s3, bucket, 2 * SECONDS)
        for key in ("00", "39"):
            self.restore(bucket, key)
            same(f"bytes of {key}", body(self.s3, bucket, key), data[key])

    @contextlib.contextmanager
    def gone(self):
        """The store is away; the embedded one goes with its gateway."""
        if self.store:
            with self.store.away():
                yield
        else:
            self.server.kill()
            self.server.start()
            yield


class Place:
    """What a store can show."""

    def __init__(self, name, in_place=False, compare_and_set=False, put_conditions=True, tags=True, parts=True):
        self.name, self.in_place, self.compare_and_set = name, in_place, compare_and_set
        self.put_conditions, self.tags, self.parts = put_conditions, tags, parts


PLACES = {
    "in_place": Place("embedded, in place", in_place=True, compare_and_set=True),
    "put": Place("embedded, by PUT", compare_and_set=True),
    # If-Match is honoured without quotes alone, which no SDK sends; parts of an object are not told.
    "ceph": Place("Ceph RGW", put_conditions=False, parts=False),
    "garage": Place("Garage", put_conditions=False, tags=False),
}
LAST = ("store_away",)


def bucket_of(paragraph):
    return paragraph.replace("_", "-")


def contract():
    """The paragraphs of the contract in order, and what is not shown: {(paragraph, store): reason}."""
    text = CONTRACT.read_text()
    paragraphs = re.findall(r"^\*\*([a-z_]+)\*\*", text, re.MULTILINE)
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]
    # Other differences concern a part of the paragraph, which PLACES names.
    differences = {(row[0], row[1]): row[3] for row in cells if row[0] in paragraphs and row[2] == "not offered"}
    return paragraphs, differences


def run(report, binary, where, store=None, only=()):
    """Tries every paragraph at one of PLACES."""
    paragraphs, differences = contract()
    for paragraph in paragraphs:
        check(hasattr(Contract, paragraph), f"no test shows {paragraph}")
    place = PLACES[where]
    wanted = []
    for paragraph in paragraphs:
        if only and paragraph not in only:
            continue
        if (paragraph, place.name) in differences:
            report.skip(f"semantics/{where}: {paragraph}", differences[paragraph, place.name])
        else:
            wanted.append(paragraph)
    testing = {"day_seconds": DAY_SECONDS, "lifecycle_interval_seconds": 1, "grace_seconds": 0,
               "restore_hold_seconds": 1}

    def scenario():
        with server_at(binary, where, store, paragraphs, testing) as (server, account):
            tried = Contract(server, place, store, account)

            def attempt(paragraph):
                def step():
                    with report.step(f"semantics/{where}: {paragraph}"):
                        getattr(tried, paragraph)()

                report.scenario(f"semantics/{where}: {paragraph}", step)

            in_threads(attempt, [each for each in wanted if each not in LAST], THREADS)
            for paragraph in LAST:
                if paragraph in wanted:
                    attempt(paragraph)

    report.scenario(f"semantics/{where}", scenario)


@contextlib.contextmanager
def server_at(binary, where, store, paragraphs, testing):
    """The server at one of PLACES, and the account with the store behind it, if others wrote that."""
    if where in MODES:
        with harness.server(binary, store={"pretend_remote": MODES[where]}, testing=testing) as server:
            yield server, None
        return
    account = store.account()
    # What these do with their bucket begins with its not being managed, or not exclusively.
    apart = ("exclusive_or_refused", "rules_have_one_owner")
    managed = [bucket_of(each) for each in paragraphs if each not in apart]
    managed += [bucket_of("forged_header_other"), bucket_of("exclusive_or_refused_witness")]
    sections = stores.settings(account, managed)
    sections["store"]["request_timeout_seconds"] = 5
    sections["bucket"][bucket_of("exclusive_or_refused")] = {"managed": True, "exclusive": False}
    with harness.server(binary, testing=testing, **sections) as server:
        yield server, account


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__.splitlines()[0]))
    parser.add_argument("--at", choices=PLACES, action="append", help="default: the embedded store, both ways")
    parser.add_argument("--only", action="append", default=[], help="a paragraph; may be repeated")
    options = parser.parse_args()
    report = Report()
    for where in options.at or MODES:
        with stores.KINDS[where]() if where in stores.KINDS else contextlib.nullcontext() as store:
            run(report, options.binary, where, store, options.only)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
