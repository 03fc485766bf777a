"""Uploads in parts, and uploads by a form."""

import base64
import json

from corpus.case import XMLNS, Case, document

BIG = "/@{main}/multi/big"
COPIED = "/@{main}/multi/copied"
SUM = "/@{main}/multi/sum"
PART = "p" * (5 << 20)
UPLOAD = "<UploadId>([^<]*)</UploadId>"
PART_COPY_ETAG = "<ETag>([^<]*)</ETag>"
PART_ETAG = "(?im)^etag: (.*)$"


def complete(*parts):
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload {XMLNS}>{listed}</CompleteMultipartUpload>"


UPLOADS = (
    Case("begin", "POST", BIG, "uploads=", {"content-type": "text/x-big", "x-amz-meta-colour": "red"},
         keep={"upload": UPLOAD}),
    Case("begin with a canned ACL", "POST", "/@{main}/multi/acl", "uploads=", {"x-amz-acl": "public-read"},
         keep={"aborted": UPLOAD}),
    Case("begin with tags", "POST", "/@{main}/multi/tags", "uploads=", {"x-amz-tagging": "a=1"},
         keep={"tagged": UPLOAD}),
    Case("begin with a checksum", "POST", SUM, "uploads=",
         {"x-amz-checksum-algorithm": "CRC32", "x-amz-checksum-type": "COMPOSITE"}, keep={"summed": UPLOAD}),
    Case("begin in no bucket", "POST", "/@{gone}/big", "uploads="),
    Case("part 1", "PUT", BIG, "partNumber=1&uploadId=@{upload}", body=PART, keep={"p1": PART_ETAG}),
    Case("part 2", "PUT", BIG, "partNumber=2&uploadId=@{upload}", body="the end", md5=True, keep={"p2": PART_ETAG}),
    Case("part 2 again", "PUT", BIG, "partNumber=2&uploadId=@{upload}", body="the very end", keep={"p2": PART_ETAG}),
    Case("part 3 in signed chunks", "PUT", SUM, "partNumber=3&uploadId=@{summed}", body="c" * 9000, chunks=8192,
         keep={"p3": PART_ETAG}),
    Case("part 4, with a wrong MD5", "PUT", SUM, "partNumber=4&uploadId=@{summed}",
         {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "never"),
    Case("part 0", "PUT", SUM, "partNumber=0&uploadId=@{summed}", body="never"),
    Case("part 10001", "PUT", SUM, "partNumber=10001&uploadId=@{summed}", body="never"),
    Case("part of no number", "PUT", SUM, "partNumber=one&uploadId=@{summed}", body="never"),
    Case("a part of no upload", "PUT", BIG, "partNumber=1&uploadId=nonsense", body="never"),
    Case("a part number without an upload", "PUT", "/@{main}/multi/number", "partNumber=1", body="never"),
    Case("part 5 copied", "PUT", SUM, "partNumber=5&uploadId=@{summed}",
         {"x-amz-copy-source": "/@{main}/mebibyte"}, keep={"p5": PART_COPY_ETAG}),
    Case("part 6 copied from a range", "PUT", SUM, "partNumber=6&uploadId=@{summed}",
         {"x-amz-copy-source": "/@{main}/mebibyte", "x-amz-copy-source-range": "bytes=10-19"}),
    Case("a part copied from beyond the end", "PUT", SUM, "partNumber=7&uploadId=@{summed}",
         {"x-amz-copy-source": "/@{main}/ten", "x-amz-copy-source-range": "bytes=10-19"}),
    Case("a part copied from a bad range", "PUT", SUM, "partNumber=7&uploadId=@{summed}",
         {"x-amz-copy-source": "/@{main}/ten", "x-amz-copy-source-range": "bytes=x"}),
    Case("a part copied from nothing", "PUT", SUM, "partNumber=7&uploadId=@{summed}",
         {"x-amz-copy-source": "/@{main}/absent"}),
    Case("two parts", "GET", BIG, "uploadId=@{upload}"),
    Case("many parts", "GET", SUM, "uploadId=@{summed}"),
    Case("parts, two at a time", "GET", SUM, "uploadId=@{summed}&max-parts=2&part-number-marker=1"),
    Case("parts with encoded names", "GET", BIG, "uploadId=@{upload}&encoding-type=url"),
    Case("parts of no upload", "GET", BIG, "uploadId=nonsense"),
    Case("uploads", "GET", "/@{main}", "uploads="),
    Case("uploads below a prefix", "GET", "/@{main}", "uploads=&prefix=multi%2Fb&delimiter=%2F&encoding-type=url"),
    Case("uploads, one at a time", "GET", "/@{main}", "uploads=&max-uploads=1"),
    Case("uploads after one", "GET", "/@{main}", "uploads=&key-marker=multi%2Fbig&upload-id-marker=@{upload}"),
    Case("uploads of no bucket", "GET", "/@{gone}", "uploads="),
    Case("head of what is not complete", "HEAD", BIG),
    document("complete with a document that is none", "POST", BIG, "uploadId=@{upload}", "<Complete"),
    document("complete without parts", "POST", BIG, "uploadId=@{upload}", complete()),
    document("complete with a part of another ETag", "POST", BIG, "uploadId=@{upload}",
             complete((1, '"00000000000000000000000000000000"'))),
    document("complete with a part that was not sent", "POST", BIG, "uploadId=@{upload}",
             complete((1, "@{p1}"), (9, "@{p1}"))),
    document("complete out of order", "POST", BIG, "uploadId=@{upload}", complete((2, "@{p2}"), (1, "@{p1}"))),
    document("complete with parts that are too small", "POST", SUM, "uploadId=@{summed}",
             complete((3, "@{p3}"), (5, "@{p5}"))),
    document("complete", "POST", BIG, "uploadId=@{upload}", complete((1, "@{p1}"), (2, "@{p2}"))),
    document("complete again", "POST", BIG, "uploadId=@{upload}", complete((1, "@{p1}"), (2, "@{p2}"))),
    document("complete no upload", "POST", "/@{main}/multi/none", "uploadId=nonsense", complete((1, "@{p1}"))),
    Case("head of what is complete", "HEAD", BIG),
    Case("get across the parts", "GET", BIG, headers={"range": "bytes=5242878-5242883"}),
    Case("get of part 2", "GET", BIG, "partNumber=2"),
    Case("head of part 1", "HEAD", BIG, "partNumber=1"),
    Case("get of part 9", "GET", BIG, "partNumber=9"),
    Case("attributes of parts", "GET", BIG, "attributes=", {"x-amz-object-attributes": "ObjectParts,ETag"}),
    Case("begin of copies", "POST", COPIED, "uploads=", keep={"copies": UPLOAD}),
    Case("part 1 copied", "PUT", COPIED, "partNumber=1&uploadId=@{copies}",
         {"x-amz-copy-source": "/@{main}/multi/big"}, keep={"c1": PART_COPY_ETAG}),
    Case("part 2 copied from a range", "PUT", COPIED, "partNumber=2&uploadId=@{copies}",
         {"x-amz-copy-source": "/@{main}/multi/big", "x-amz-copy-source-range": "bytes=5242880-5242885"},
         keep={"c2": PART_COPY_ETAG}),
    document("complete the copies", "POST", COPIED, "uploadId=@{copies}", complete((1, "@{c1}"), (2, "@{c2}"))),
    Case("get across the copied parts", "GET", COPIED, headers={"range": "bytes=-20"}),
    Case("copy of what came in parts", "PUT", "/@{other}/whole", headers={"x-amz-copy-source": "@{main}/multi/big"}),
    Case("head of the copy of what came in parts", "HEAD", "/@{other}/whole"),
    Case("abort", "DELETE", "/@{main}/multi/acl", "uploadId=@{aborted}"),
    Case("abort again", "DELETE", "/@{main}/multi/acl", "uploadId=@{aborted}"),
    Case("abort with tags", "DELETE", "/@{main}/multi/tags", "uploadId=@{tagged}"),
    Case("abort with a checksum", "DELETE", SUM, "uploadId=@{summed}"),
    Case("abort no upload", "DELETE", BIG, "uploadId=nonsense"),
    Case("uploads, all gone", "GET", "/@{main}", "uploads="),
)

BOUNDARY = "----a-boundary-of-one's-own"


def form(name, fields, data="by a form", boundary=BOUNDARY):
    """A form without a policy: what a browser of nobody sends."""
    lines = []
    for field, value in fields.items():
        lines += [f"--{BOUNDARY}", f'Content-Disposition: form-data; name="{field}"', "", value]
    lines += [f"--{BOUNDARY}", 'Content-Disposition: form-data; name="file"; filename="f.txt"',
              "Content-Type: text/plain", "", data, f"--{BOUNDARY}--", ""]
    return Case(name, "POST", "/@{public}", headers={"content-type": f'multipart/form-data; boundary="{boundary}"'},
                body="\r\n".join(lines), auth="nobody")


POLICY = base64.b64encode(json.dumps({"expiration": "2020-01-01T00:00:00Z", "conditions": []}).encode()).decode()
FORMS = (
    form("nobody's form", {"key": "form"}),
    form("a form without a key", {"acl": "private"}),
    form("a form with a wrong boundary", {"key": "form"}, boundary="another"),
    form("a form with a policy of nobody known", {
        "key": "form", "policy": POLICY, "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": "NOBODY/20200101/us-east-1/s3/aws4_request", "x-amz-date": "20200101T000000Z",
        "x-amz-signature": "0" * 64}),
    Case("a form that is none", "POST", "/@{public}", headers={"content-type": "multipart/form-data"}, body="none",
         auth="nobody"),
)

CASES = UPLOADS + FORMS
