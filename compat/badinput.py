"""Bad input: each with its exact answer, nothing stored, and the server serves afterwards."""

import argparse
import base64
import hashlib
import sys

import harness
import machine
from flow import fetch
from harness import MIB, body, listing, refusal
from rawhttp import UNSIGNED, Raw, Request, ask, encode
from report import Report, check, same

BUCKET = "bad"
CANARY = b"still here"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
# Documents above these sizes are refused unread.
LIFECYCLE_BYTES_MAX, DELETE_BYTES_MAX, RESTORE_BYTES_MAX = 4 * MIB, 8 * MIB, 2 * MIB
XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
GOOD_RULE = (
    f"<LifecycleConfiguration {XMLNS}><Rule><Status>Enabled</Status><Filter/>"
    "<Expiration><Days>1000</Days></Expiration></Rule></LifecycleConfiguration>"
).encode()


def digest(name, data):
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


def put(key="victim", data=b"never stored", **more):
    return Request("PUT", f"/{BUCKET}/{encode(key)}", body=data, **more)


def lifecycle(data, **headers):
    return Request("PUT", f"/{BUCKET}", "lifecycle=", headers={"content-md5": digest("md5", data)} | headers, body=data)


def document(method, path, query, data):
    return Request(method, path, query, headers={"content-md5": digest("md5", data)}, body=data)


def padding(data, above):
    """`data` made a longer document than allowed, without changing what it says."""
    return data.replace(b">", b">" + b" " * above, 1)


def cases():
    """(name, request, status, code) of everything one plain request can get wrong."""
    object_path, archived = f"/{BUCKET}/canary", f"/{BUCKET}/archived"
    yield from (
        ("a wrong signature", put(secret="not the secret"), 403, "SignatureDoesNotMatch"),
        ("an unknown key", put(access_key="TGNOBODY000000000001"), 403, "InvalidAccessKeyId"),
        ("a clock 16 minutes behind", put(minutes_ahead=-16), 403, "RequestTimeTooSkewed"),
        ("a clock 16 minutes ahead", put(minutes_ahead=16), 403, "RequestTimeTooSkewed"),
        ("another region", put(region="eu-west-9"), 400, "AuthorizationHeaderMalformed"),
        ("an unsigned header", put(unsigned={"x-amz-storage-class": "GLACIER"}), 403, "AccessDenied"),
        ("another body than signed", put(payload="0" * 64), 400, "XAmzContentSHA256Mismatch"),
        ("an unusable payload token", put(payload="STREAMING-NONSENSE"), 400, "InvalidArgument"),
        ("a wrong MD5", put(headers={"content-md5": digest("md5", b"other")}), 400, "BadDigest"),
        ("a malformed MD5", put(headers={"content-md5": "nonsense"}), 400, "InvalidDigest"),
        ("a wrong CRC32", put(headers={"x-amz-checksum-crc32": "AAAAAA=="}), 400, "BadDigest"),
        ("a wrong SHA-256", put(headers={"x-amz-checksum-sha256": digest("sha256", b"other")}), 400, "BadDigest"),
        ("a malformed checksum", put(headers={"x-amz-checksum-crc32": "nonsense"}), 400, "InvalidRequest"),
        ("no length", put(data=b"", length=-1), 411, "MissingContentLength"),
        ("more than 5 GiB at once", put(length=(5 << 30) + 1, payload=UNSIGNED, data=b""), 400, "EntityTooLarge"),
        ("a key of 1025 bytes", put(key="k" * 1025), 400, "KeyTooLongError"),
        ("metadata above 2 KiB", put(headers={"x-amz-meta-long": "m" * 2048}), 400, "MetadataTooLarge"),
        ("a header of 100 KiB", put(headers={"x-amz-meta-long": "m" * 102_400}), 400, "RequestHeaderSectionTooLarge"),
        ("a header of 300 KiB", put(headers={"x-amz-meta-long": "m" * 307_200}), 431, None),
        ("a forged record", put(headers={"x-amz-meta-tapegate": "v1;stub;forged"}), 400, "InvalidRequest"),
        ("an unknown storage class", put(headers={"x-amz-storage-class": "TAPE"}), 400, "InvalidStorageClass"),
        ("a bucket that is not there", Request("PUT", "/nowhere/key", body=b"x"), 404, "NoSuchBucket"),
        ("a bad bucket name", Request("PUT", "/Bad_Bucket"), 400, "InvalidBucketName"),
        ("an operation not offered", Request("PUT", f"/{BUCKET}", "replication=", body=b"<x/>"), 501, "NotImplemented"),
        ("a query of the archive", Request("POST", object_path, "select=&select-type=2", body=b"<x/>"), 405,
         "MethodNotAllowed"),
    )
    yield from (
        ("a rule that is not XML", lifecycle(b"not xml"), 400, "MalformedXML"),
        ("a rule cut short", lifecycle(GOOD_RULE[:-5]), 400, "MalformedXML"),
        ("a rule with an entity", lifecycle(b'<!DOCTYPE a [<!ENTITY b "c">]>' + GOOD_RULE), 400, "MalformedXML"),
        ("a rule with a bad class", lifecycle(GOOD_RULE.replace(
            b"<Expiration><Days>1000</Days></Expiration>",
            b"<Transition><Days>1</Days><StorageClass>TAPE</StorageClass></Transition>")), 400, "MalformedXML"),
        ("a rule without a checksum", Request("PUT", f"/{BUCKET}", "lifecycle=", body=GOOD_RULE), 400,
         "InvalidRequest"),
        ("a rule of 5 MiB", lifecycle(padding(GOOD_RULE, LIFECYCLE_BYTES_MAX)), 400, "MaxMessageLengthExceeded"),
        ("an unknown size setting", lifecycle(
            GOOD_RULE, **{"x-amz-transition-default-minimum-object-size": "none"}), 400, "InvalidRequest"),
        ("deletes that are not XML", document("POST", f"/{BUCKET}", "delete=", b"<Delete>"), 400, "MalformedXML"),
        ("deletes of 9 MiB", document("POST", f"/{BUCKET}", "delete=", padding(b"<Delete></Delete>", DELETE_BYTES_MAX)),
         400, "MaxMessageLengthExceeded"),
        ("deletes of 1001 keys", document("POST", f"/{BUCKET}", "delete=", b"<Delete>" +
         b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>"), 400, "MalformedXML"),
        ("a restore that is not XML", Request("POST", archived, "restore=", body=b"{}"), 400, "MalformedXML"),
        ("a restore of 3 MiB", Request("POST", archived, "restore=", body=padding(
            b"<RestoreRequest><Days>1</Days></RestoreRequest>", RESTORE_BYTES_MAX)), 400, "MaxMessageLengthExceeded"),
        ("an upload that is not there", Request("POST", object_path, "uploadId=none", body=b"<"), 404, "NoSuchUpload"),
    )


def in_pieces(port, request, pieces):
    """Sends a request's head, then what `pieces(signer)` gives."""
    with Raw(port) as raw:
        signer = raw.send_head(request)
        for piece in pieces(signer):
            raw.send(piece)
        return raw.answer(request.method)


def chunked(decoded, sent, token=SIGNED_CHUNKS, **headers):
    """A PUT in chunks: `decoded` bytes announced, `sent` bytes on the wire."""
    headers = {"x-amz-decoded-content-length": str(decoded), "content-encoding": "aws-chunked"} | headers
    return put(headers=headers, payload=token, length=sent, data=b"")


SIGNATURE_BYTES = len(";chunk-signature=") + 64


def bad_second_chunk(port):
    data = b"c" * 65536
    sent = 2 * (len("10000") + SIGNATURE_BYTES + 2 + 65536 + 2) + len("0") + SIGNATURE_BYTES + 4

    def pieces(signer):
        yield signer.chunk(data)
        good = signer.chunk(data)
        yield good.replace(b"c\r\n", b"d\r\n", 1)
        yield signer.chunk(b"")

    return in_pieces(port, chunked(2 * 65536, sent), pieces)


def too_few_chunks(port):
    def pieces(signer):
        yield signer.chunk(b"half")
        yield signer.chunk(b"")

    sent = len("4") + SIGNATURE_BYTES + 2 + 4 + 2 + len("0") + SIGNATURE_BYTES + 4
    return in_pieces(port, chunked(8, sent), pieces)


def wrong_trailer(port):
    body_ = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    request = chunked(3, len(body_), UNSIGNED_TRAILER, **{"x-amz-trailer": "x-amz-checksum-crc32"})
    return in_pieces(port, request, lambda _: [body_])


def endless_chunk_header(port):
    body_ = b"3" * 5000
    return in_pieces(port, chunked(3, len(body_), UNSIGNED_TRAILER), lambda _: [body_])


def anonymous(port):
    with Raw(port) as raw:
        raw.send(f"GET /{BUCKET}/canary HTTP/1.1\r\nhost: {raw.host}\r\n\r\n".encode())
        return raw.answer()


def refused_before_the_body(port):
    """A client that waits for 100 Continue gets the refusal instead, at once."""
    with Raw(port, seconds=5) as raw:
        raw.send_head(put(secret="not the secret", length=10 * MIB, payload=UNSIGNED, data=b""), expect="100-continue")
        return raw.answer("PUT")


def refused_while_sending(port):
    """A client that sends without waiting reads the refusal, not a reset."""
    with Raw(port) as raw:
        raw.send_head(put(secret="not the secret", length=512 * 1024, payload=UNSIGNED, data=b""))
        raw.send(b"z" * 512 * 1024)
        return raw.answer("PUT")


BY_HAND = (
    ("a bad chunk signature", bad_second_chunk, 403, "SignatureDoesNotMatch"),
    ("fewer bytes in chunks than declared", too_few_chunks, 400, "IncompleteBody"),
    ("a wrong checksum in the trailer", wrong_trailer, 400, "BadDigest"),
    ("an endless chunk header", endless_chunk_header, 400, "InvalidRequest"),
    ("nobody's request", anonymous, 403, "AccessDenied"),
    ("an early refusal to one that waits", refused_before_the_body, 403, "SignatureDoesNotMatch"),
    ("an early refusal to one that sends", refused_while_sending, 403, "SignatureDoesNotMatch"),
)


def truncated_body(server):
    """The client is gone in mid-body: whatever it could still read is IncompleteBody, and nothing is stored."""
    with Raw(server.port) as raw:
        raw.send_head(put(length=100_000, payload=UNSIGNED, data=b""))
        raw.send(b"z" * 50_000)
        raw.end_of_sending()
        answer = raw.answer("PUT")[:2]
    check(answer in ((400, "IncompleteBody"), (None, None)), f"a truncated body was answered {answer}")


def presigned_expires(server):
    s3 = server.s3()
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "canary"}, ExpiresIn=1)
    status, told = harness.wait_until(lambda: expired(url), 10, "the URL expired")
    same("an expired URL", status, 403)
    check(b"<Code>AccessDenied</Code><Message>Request has expired</Message>" in told, f"it said {told}")


def expired(url):
    status, told = fetch(url)
    return (status, told) if status != 200 else None


def bad_completion(server):
    """A completion that is not XML leaves the upload as it was."""
    s3 = server.s3()
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="victim")["UploadId"]
    request = Request("POST", f"/{BUCKET}/victim", f"uploadId={encode(upload)}", body=b"<")
    same("the completion", ask(server.port, request)[:2], (400, "MalformedXML"))
    s3.abort_multipart_upload(Bucket=BUCKET, Key="victim", UploadId=upload)


def serves(server, s3):
    """The canary is there, on a connection that was kept and on a new one; the victim is not."""
    same("the canary", body(s3, BUCKET, "canary"), CANARY)
    same("the canary by hand", ask(server.port, Request("GET", f"/{BUCKET}/canary"))[::2], (200, CANARY))
    same("what is stored", set(listing(s3, BUCKET)), {"canary", "archived"})


def run_requests(report, binary):
    def scenario():
        with harness.server(binary) as server:
            s3 = server.s3()
            s3.create_bucket(Bucket=BUCKET)
            s3.put_object(Bucket=BUCKET, Key="canary", Body=CANARY)
            s3.put_object(Bucket=BUCKET, Key="archived", Body=b"archived", StorageClass="GLACIER")
            every = [(name, lambda port, request=request: ask(port, request), *expected)
                     for name, request, *expected in cases()]
            for name, send, status, code in (*every, *BY_HAND):
                one(report, f"badinput: {name}", lambda: same(name, send(server.port)[:2], (status, code)), server, s3)
            one(report, "badinput: a completion that is not XML", lambda: bad_completion(server), server, s3)
            one(report, "badinput: a truncated body", lambda: truncated_body(server), server, s3)
            one(report, "badinput: an expired presigned URL", lambda: presigned_expires(server), server, s3)
            one(report, "badinput: no rule was set", lambda: same(
                "the rule", refusal(s3.get_bucket_lifecycle_configuration, Bucket=BUCKET)[:2],
                (404, "NoSuchLifecycleConfiguration")), server, s3)

    report.scenario("badinput", scenario)


def one(report, name, act, server, s3):
    """A step that does not end the others when it fails."""

    def steps():
        with report.step(name):
            act()
            serves(server, s3)

    report.scenario(name, steps)


def run(report, binary):
    run_requests(report, binary)
    machine.run(report, binary)


def main():
    parser = harness.arguments(argparse.ArgumentParser(description=__doc__))
    options = parser.parse_args()
    report = Report()
    run(report, options.binary)
    sys.exit(report.end())


if __name__ == "__main__":
    main()
