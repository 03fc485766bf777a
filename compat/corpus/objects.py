"""Objects: writing, reading, conditions, ranges, names, metadata, copies, what hangs on an object, versions, locks."""

from corpus.buckets import ACL, TAGS
from corpus.case import XMLNS, Case, digest, document
from rawhttp import UNSIGNED, encode, quote

MAIN = "/@{main}"
TEN = "0123456789"
TEN_ETAG = '"781e5e245d69b566979b86e28d23f2c7"'
ETAG_OF_NOTHING = '"d41d8cd98f00b204e9800998ecf8427e"'
LONG_AGO, FAR_OFF = "Wed, 01 Jan 2020 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"

PUTS = (
    Case("put", "PUT", f"{MAIN}/ten", headers={"content-type": "text/plain"}, body=TEN),
    Case("put nothing", "PUT", f"{MAIN}/nothing"),
    Case("put with every system header", "PUT", f"{MAIN}/headers", body=TEN, headers={
        "content-type": "text/html; charset=utf-8", "cache-control": "max-age=60, private",
        "content-disposition": 'attachment; filename="a b.txt"', "content-language": "de, en",
        "content-encoding": "identity", "expires": "Thu, 01 Dec 2033 16:00:00 GMT"}),
    Case("put with an Expires that is no date", "PUT", f"{MAIN}/expires", headers={"expires": "tomorrow"}, body=TEN),
    Case("put with a type of one's own", "PUT", f"{MAIN}/type", headers={"content-type": "x-a/x-b;c=d"}, body=TEN),
    Case("put with an encoding", "PUT", f"{MAIN}/gzip", headers={"content-encoding": "gzip"}, body="not gzip"),
    Case("put with metadata", "PUT", f"{MAIN}/meta", body=TEN, headers={
        "x-amz-meta-colour": "blue", "x-amz-meta-Two-Words": "a  b", "x-amz-meta-under_score": "1",
        "x-amz-meta-empty": "", "x-amz-meta-equals": "a=b;c,d"}),
    Case("put with metadata beyond ASCII", "PUT", f"{MAIN}/meta8", body=TEN,
         headers={"x-amz-meta-name": "ünïcode 日本"}),
    Case("put with encoded metadata", "PUT", f"{MAIN}/meta-rfc2047", body=TEN,
         headers={"x-amz-meta-name": "=?UTF-8?Q?=C3=BC?="}),
    Case("put with repeated metadata", "PUT", f"{MAIN}/meta-twice", body=TEN,
         headers={"x-amz-meta-colour": ["blue", "green"]}),
    Case("put with tags", "PUT", f"{MAIN}/tagged", body=TEN, headers={"x-amz-tagging": "a=1&b=two%20words"}),
    Case("put with bad tags", "PUT", f"{MAIN}/never", body=TEN, headers={"x-amz-tagging": "a=1&a=2"}),
    Case("put with a canned ACL", "PUT", f"{MAIN}/acl", body=TEN, headers={"x-amz-acl": "public-read"}),
    Case("put with an unknown ACL", "PUT", f"{MAIN}/never", body=TEN, headers={"x-amz-acl": "everyone"}),
    Case("put with grants", "PUT", f"{MAIN}/grants", body=TEN, headers={"x-amz-grant-full-control": "id=@{owner}"}),
    Case("put as STANDARD", "PUT", f"{MAIN}/standard", body=TEN, headers={"x-amz-storage-class": "STANDARD"}),
    Case("put in an unknown class", "PUT", f"{MAIN}/never", body=TEN, headers={"x-amz-storage-class": "MOON"}),
    Case("put with a redirect", "PUT", f"{MAIN}/redirect", body=TEN,
         headers={"x-amz-website-redirect-location": "/ten"}),
    Case("put with the right MD5", "PUT", f"{MAIN}/md5", body=TEN, md5=True),
    Case("put with a wrong MD5", "PUT", f"{MAIN}/never", body=TEN, headers={"content-md5": digest("md5", b"other")}),
    Case("put with an MD5 that is none", "PUT", f"{MAIN}/never", body=TEN, headers={"content-md5": "nonsense"}),
    Case("put with a CRC32", "PUT", f"{MAIN}/crc32", body=TEN, headers={"x-amz-checksum-crc32": "poTHxg=="}),
    Case("put with a wrong CRC32", "PUT", f"{MAIN}/wrong-crc32", body=TEN,
         headers={"x-amz-checksum-crc32": "AAAAAA=="}),
    Case("put with a SHA-1", "PUT", f"{MAIN}/sha1", body=TEN,
         headers={"x-amz-checksum-sha1": digest("sha1", TEN.encode()), "x-amz-sdk-checksum-algorithm": "SHA1"}),
    Case("put with a SHA-256", "PUT", f"{MAIN}/sha256", body=TEN,
         headers={"x-amz-checksum-sha256": digest("sha256", TEN.encode())}),
    Case("put with a wrong SHA-256", "PUT", f"{MAIN}/wrong-sha256", body=TEN,
         headers={"x-amz-checksum-sha256": digest("sha256", b"other")}),
    Case("put with another digest than signed", "PUT", f"{MAIN}/never", body=TEN, payload="0" * 64),
    Case("put with an unsigned payload", "PUT", f"{MAIN}/unsigned", body=TEN, payload=UNSIGNED),
    Case("put in signed chunks", "PUT", f"{MAIN}/chunks", body="c" * 70_000, chunks=65_536),
    Case("put in signed chunks, with an encoding too", "PUT", f"{MAIN}/chunks-gzip", body="c" * 20_000, chunks=8_192,
         headers={"content-encoding": "gzip"}),
    Case("put that waits for 100 Continue", "PUT", f"{MAIN}/waited", body=TEN, waits=True),
    Case("put that waits, without a bucket", "PUT", "/@{gone}/waited", body=TEN, waits=True),
    Case("put of 1 MiB", "PUT", f"{MAIN}/mebibyte", body="m" * (1 << 20)),
    Case("put only if new, on a new key", "PUT", f"{MAIN}/once", body=TEN, headers={"if-none-match": "*"}),
    Case("put only if new, on an old key", "PUT", f"{MAIN}/once", body="other", headers={"if-none-match": "*"}),
    Case("put only over another", "PUT", f"{MAIN}/once", body=TEN,
         headers={"if-match": '"00000000000000000000000000000000"'}),
    Case("put only over any", "PUT", f"{MAIN}/once", body=TEN, headers={"if-match": "*"}),
    Case("put into no bucket", "PUT", "/@{gone}/key", body=TEN),
    Case("put with SSE", "PUT", f"{MAIN}/sse", body=TEN, headers={"x-amz-server-side-encryption": "AES256"}),
    Case("put with an unknown SSE", "PUT", f"{MAIN}/never", body=TEN,
         headers={"x-amz-server-side-encryption": "ROT13"}),
    Case("put with SSE-C, without a key", "PUT", f"{MAIN}/never", body=TEN,
         headers={"x-amz-server-side-encryption-customer-algorithm": "AES256"}),
    Case("POST to an object", "POST", f"{MAIN}/ten", body=TEN),
    Case("PATCH of an object", "PATCH", f"{MAIN}/ten", body=TEN),
    Case("a method nobody knows", "BREW", f"{MAIN}/ten"),
    # A store that does not know a sub-resource may take the request for one without.
    Case("put with an unknown sub-resource", "PUT", f"{MAIN}/sub-resource", "nonsense=", body=TEN),
    Case("head of what was put with an unknown sub-resource", "HEAD", f"{MAIN}/sub-resource"),
    Case("delete with an unknown sub-resource", "DELETE", f"{MAIN}/sub-resource", "nonsense="),
    Case("head of what was deleted with an unknown sub-resource", "HEAD", f"{MAIN}/sub-resource"),
    Case("append of a vendor", "PUT", f"{MAIN}/appended", "append=&position=0", body=TEN),
)

READS = (
    *(Case(f"get {key}", "GET", f"{MAIN}/{key}") for key in (
        "nothing", "headers", "expires", "type", "gzip", "meta", "meta8", "meta-rfc2047", "meta-twice", "tagged",
        "redirect", "crc32", "sha256", "wrong-crc32", "wrong-sha256", "chunks",
        "chunks-gzip", "mebibyte", "never", "absent")),
    Case("get", "GET", f"{MAIN}/ten", keep={"modified": "(?im)^last-modified: (.*)$"}),
    *(Case(f"head of {key}", "HEAD", f"{MAIN}/{key}") for key in (
        "ten", "nothing", "headers", "meta", "meta8", "tagged", "chunks", "mebibyte", "absent", "a/b/c")),
    # Listings to come are not to tell what some stores took and others did not.
    *(Case(f"delete {key}", "DELETE", f"{MAIN}/{key}") for key in ("wrong-crc32", "wrong-sha256")),
    Case("get with checksums", "GET", f"{MAIN}/sha256", headers={"x-amz-checksum-mode": "ENABLED"}),
    Case("get from no bucket", "GET", "/@{gone}/key"),
    Case("head in no bucket", "HEAD", "/@{gone}/key"),
    Case("get that accepts an encoding", "GET", f"{MAIN}/gzip", headers={"accept-encoding": "gzip, br"}),
    Case("OPTIONS of an object", "OPTIONS", f"{MAIN}/ten"),
    Case("get with headers of a proxy", "GET", f"{MAIN}/ten",
         headers={"x-forwarded-for": "192.0.2.1", "via": "1.1 somebody", "x-request-id": "mine"}),
    Case("get of part 1 of a plain object", "GET", f"{MAIN}/ten", "partNumber=1"),
    Case("get of part 2 of a plain object", "GET", f"{MAIN}/ten", "partNumber=2"),
    Case("head of part 1 of a plain object", "HEAD", f"{MAIN}/ten", "partNumber=1"),
)

RANGES = tuple(
    Case(f"{method} of the range {text}", method, f"{MAIN}/ten", headers={"range": text})
    for method, text in (
        ("GET", "bytes=2-4"), ("GET", "bytes=0-0"), ("GET", "bytes=7-"), ("GET", "bytes=-3"), ("GET", "bytes=-100"),
        ("GET", "bytes=5-100"), ("GET", "bytes=10-"), ("GET", "bytes=100-200"), ("GET", "bytes=-0"),
        ("GET", "bytes=4-2"), ("GET", "bytes=0-1,3-4"), ("GET", "bytes=x-y"), ("GET", "lines=1-2"), ("GET", "2-4"),
        ("HEAD", "bytes=2-4"), ("HEAD", "bytes=100-200"),
    )
) + (
    Case("a range of nothing", "GET", f"{MAIN}/nothing", headers={"range": "bytes=0-0"}),
    Case("a range with If-Range that holds", "GET", f"{MAIN}/ten",
         headers={"range": "bytes=0-1", "if-range": TEN_ETAG}),
    Case("a range with If-Range that does not", "GET", f"{MAIN}/ten",
         headers={"range": "bytes=0-1", "if-range": ETAG_OF_NOTHING}),
    Case("a range with If-Match that does not hold", "GET", f"{MAIN}/ten",
         headers={"range": "bytes=0-1", "if-match": ETAG_OF_NOTHING}),
)

CONDITIONS = tuple(
    Case(f"{method} with {', '.join(f'{name}: {value}' for name, value in headers.items())}", method, f"{MAIN}/ten",
         headers=headers)
    for method, headers in (
        ("GET", {"if-match": TEN_ETAG}), ("GET", {"if-match": TEN_ETAG.strip('"')}), ("GET", {"if-match": "*"}),
        ("GET", {"if-match": ETAG_OF_NOTHING}), ("HEAD", {"if-match": ETAG_OF_NOTHING}),
        ("GET", {"if-match": f"{ETAG_OF_NOTHING}, {TEN_ETAG}"}),
        ("GET", {"if-none-match": TEN_ETAG}), ("HEAD", {"if-none-match": TEN_ETAG}), ("GET", {"if-none-match": "*"}),
        ("GET", {"if-none-match": ETAG_OF_NOTHING}), ("GET", {"if-none-match": f"W/{TEN_ETAG}"}),
        ("GET", {"if-modified-since": LONG_AGO}), ("GET", {"if-modified-since": FAR_OFF}),
        ("GET", {"if-modified-since": "@{modified}"}), ("GET", {"if-modified-since": "no date"}),
        ("GET", {"if-unmodified-since": LONG_AGO}), ("GET", {"if-unmodified-since": "@{modified}"}),
        ("HEAD", {"if-unmodified-since": LONG_AGO}),
        ("GET", {"if-match": TEN_ETAG, "if-unmodified-since": LONG_AGO}),
        ("GET", {"if-none-match": ETAG_OF_NOTHING, "if-modified-since": FAR_OFF}),
    )
)

OVERRIDES = (
    Case("get with every response header replaced", "GET", f"{MAIN}/headers", "&".join([
        "response-cache-control=no-cache", "response-content-disposition=" + quote('attachment; filename="x.y"'),
        "response-content-encoding=x-y", "response-content-language=mi", "response-content-type=" + quote("a/b; c=d"),
        "response-expires=" + quote(FAR_OFF)])),
    Case("head with a response header replaced", "HEAD", f"{MAIN}/headers", "response-content-type=a%2Fb"),
    Case("a replaced header beyond ASCII", "GET", f"{MAIN}/ten", "response-content-disposition=" + quote("name=ü")),
    Case("an unknown replaced header", "GET", f"{MAIN}/ten", "response-x-nonsense=1"),
    Case("an unknown sub-resource of an object", "GET", f"{MAIN}/ten", "nonsense=1"),
    Case("a name that is only like a sub-resource", "GET", f"{MAIN}/ten", "Acl="),
    Case("attributes of an object", "GET", f"{MAIN}/ten", "attributes=",
         {"x-amz-object-attributes": "ETag,ObjectSize,StorageClass"}),
    Case("a torrent", "GET", f"{MAIN}/ten", "torrent="),
    Case("a layout, of a vendor", "GET", f"{MAIN}/ten", "layout="),
    Case("select on an object", "POST", f"{MAIN}/ten", "select=&select-type=2", body="<SelectRequest/>"),
    Case("restore of a hot object of another bucket", "POST", "/@{rules}/none", "restore=",
         body="<RestoreRequest><Days>1</Days></RestoreRequest>"),
)

PRESIGNED = (
    Case("presigned get", "GET", f"{MAIN}/ten", auth="presigned"),
    Case("presigned head", "HEAD", f"{MAIN}/ten", auth="presigned"),
    Case("presigned get with a range", "GET", f"{MAIN}/ten", headers={"range": "bytes=1-2"}, auth="presigned"),
    Case("presigned get with a replaced header", "GET", f"{MAIN}/ten", "response-content-type=a%2Fb",
         auth="presigned"),
    Case("presigned put", "PUT", f"{MAIN}/presigned", headers={"content-type": "text/x-mine"}, body=TEN,
         auth="presigned"),
    Case("get of what was presigned", "GET", f"{MAIN}/presigned"),
    Case("presigned listing", "GET", MAIN, "list-type=2&prefix=pres", auth="presigned"),
    Case("presigned delete", "DELETE", f"{MAIN}/presigned", auth="presigned"),
    Case("presigned get of what is gone", "GET", f"{MAIN}/presigned", auth="presigned"),
    Case("presigned and expired", "GET", f"{MAIN}/ten", auth="expired"),
)

WHO = (
    Case("nobody's listing", "GET", MAIN, auth="nobody"),
    Case("nobody's get", "GET", f"{MAIN}/ten", auth="nobody"),
    Case("nobody's get of a public object", "GET", f"{MAIN}/acl", auth="nobody"),
    Case("nobody's head of a public object", "HEAD", f"{MAIN}/acl", auth="nobody"),
    Case("nobody's listing of a public bucket", "GET", "/@{public}", auth="nobody"),
    Case("nobody's put into a public bucket", "PUT", "/@{public}/key", body=TEN, auth="nobody"),
    Case("put below what a policy opens", "PUT", "/@{public}/open/key", body=TEN),
    Case("nobody's get of what a policy opens", "GET", "/@{public}/open/key", auth="nobody"),
    Case("nobody's buckets", "GET", "/", auth="nobody"),
    Case("a wrong secret", "GET", f"{MAIN}/ten", auth="wrong secret"),
    Case("an unknown key", "GET", f"{MAIN}/ten", auth="unknown key"),
    Case("a clock 16 minutes late", "GET", f"{MAIN}/ten", auth="late clock"),
    Case("head with a wrong secret", "HEAD", f"{MAIN}/ten", auth="wrong secret"),
)

ODD_KEYS = {
    "spaces": "with spaces  and two",
    "plus": "plus+and+plus",
    "percent": "per%cent/%2F%41",
    "a slash first": "/leading",
    "two slashes": "double//slash",
    "three slashes": "triple///slash",
    "a slash last": "trailing/",
    "dots": "dots/./and/../more",
    "one dot": ".",
    "two dots first": "../up",
    "unicode": "ünï/日本語/ключ-🗄",
    "combined and composed": "e\u0301/\u00e9",
    "punctuation": "quotes'\"&<>;=@:,$~!*()[]{}|^`#?",
    "1024 bytes": "l" * 1024,
    "1025 bytes": "l" * 1025,
    "a tab": "tab\there",
    "a line end": "line\nend",
    "a backslash": "back\\slash",
    "a question mark": "what?acl",
    "a control character": "bell\x07",
}
NAMES = tuple(
    case
    for what, key in ODD_KEYS.items()
    for case in (
        Case(f"put under a name with {what}", "PUT", f"{MAIN}/{encode(key)}", body=key[:20]),
        Case(f"get under a name with {what}", "GET", f"{MAIN}/{encode(key)}"),
    )
) + (
    Case("a name that is not UTF-8", "PUT", f"{MAIN}/%FF%FE", body=TEN),
    Case("a name with a NUL", "PUT", f"{MAIN}/a%00b", body=TEN),
    Case("a name that is badly encoded", "GET", f"{MAIN}/a%zz"),
    Case("delete under an odd name", "DELETE", f"{MAIN}/{encode('triple///slash')}"),
)

COPIES = (
    Case("copy", "PUT", "/@{other}/copied", headers={"x-amz-copy-source": "/@{main}/meta"}),
    Case("head of the copy", "HEAD", "/@{other}/copied"),
    Case("copy without a slash first", "PUT", "/@{other}/copied2", headers={"x-amz-copy-source": "@{main}/headers"}),
    Case("get of the copy", "GET", "/@{other}/copied2"),
    Case("copy of an odd name", "PUT", "/@{other}/odd", headers={
        "x-amz-copy-source": f"@{{main}}/{encode(ODD_KEYS['unicode'])}"}),
    Case("copy with new metadata", "PUT", "/@{other}/replaced", headers={
        "x-amz-copy-source": "@{main}/meta", "x-amz-metadata-directive": "REPLACE", "content-type": "text/x-new",
        "x-amz-meta-new": "yes"}),
    Case("head of the copy with new metadata", "HEAD", "/@{other}/replaced"),
    Case("copy with new tags", "PUT", "/@{other}/retagged", headers={
        "x-amz-copy-source": "@{main}/tagged", "x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "c=3"}),
    Case("tags of the copy with new tags", "GET", "/@{other}/retagged", "tagging="),
    Case("copy with an unknown directive", "PUT", "/@{other}/never", headers={
        "x-amz-copy-source": "@{main}/meta", "x-amz-metadata-directive": "PERHAPS"}),
    Case("copy onto itself without a change", "PUT", f"{MAIN}/meta", headers={"x-amz-copy-source": "@{main}/meta"}),
    Case("copy onto itself with a change", "PUT", f"{MAIN}/meta", headers={
        "x-amz-copy-source": "@{main}/meta", "x-amz-metadata-directive": "REPLACE", "x-amz-meta-changed": "1"}),
    Case("head of what was copied onto itself", "HEAD", f"{MAIN}/meta"),
    Case("copy of nothing", "PUT", "/@{other}/never", headers={"x-amz-copy-source": "@{main}/absent"}),
    Case("copy from no bucket", "PUT", "/@{other}/never", headers={"x-amz-copy-source": "@{gone}/key"}),
    Case("copy into no bucket", "PUT", "/@{gone}/never", headers={"x-amz-copy-source": "@{main}/ten"}),
    Case("copy from what is no place", "PUT", "/@{other}/never", headers={"x-amz-copy-source": "nonsense"}),
    Case("copy if it matches", "PUT", "/@{other}/if", headers={
        "x-amz-copy-source": "@{main}/ten", "x-amz-copy-source-if-match": TEN_ETAG}),
    Case("copy if it does not match", "PUT", "/@{other}/if", headers={
        "x-amz-copy-source": "@{main}/ten", "x-amz-copy-source-if-none-match": TEN_ETAG}),
    Case("copy if unmodified since long ago", "PUT", "/@{other}/if", headers={
        "x-amz-copy-source": "@{main}/ten", "x-amz-copy-source-if-unmodified-since": LONG_AGO}),
    Case("copy with a canned ACL", "PUT", "/@{other}/acl", headers={
        "x-amz-copy-source": "@{main}/ten", "x-amz-acl": "public-read"}),
    Case("a vendor's move", "PUT", "/@{other}/moved", headers={"x-amz-copy-source": "@{main}/standard",
                                                               "x-rgw-move": "true"}),
)

ATTACHED = (
    Case("read the tags of an object", "GET", f"{MAIN}/tagged", "tagging="),
    document("set the tags of an object", "PUT", f"{MAIN}/tagged", "tagging=", TAGS),
    Case("read the set tags of an object", "GET", f"{MAIN}/tagged", "tagging="),
    document("set eleven tags", "PUT", f"{MAIN}/tagged", "tagging=", f"<Tagging {XMLNS}><TagSet>" + "".join(
        f"<Tag><Key>k{number}</Key><Value>v</Value></Tag>" for number in range(11)) + "</TagSet></Tagging>"),
    Case("remove the tags of an object", "DELETE", f"{MAIN}/tagged", "tagging="),
    Case("read the removed tags of an object", "GET", f"{MAIN}/tagged", "tagging="),
    Case("read the tags of nothing", "GET", f"{MAIN}/absent", "tagging="),
    Case("read the ACL of an object", "GET", f"{MAIN}/ten", "acl="),
    Case("read the ACL of a public object", "GET", f"{MAIN}/acl", "acl="),
    document("set the ACL of an object", "PUT", f"{MAIN}/ten", "acl=", ACL),
    Case("read the set ACL of an object", "GET", f"{MAIN}/ten", "acl="),
    Case("set a canned ACL of an object", "PUT", f"{MAIN}/ten", "acl=", {"x-amz-acl": "private"}),
    Case("read the ACL of nothing", "GET", f"{MAIN}/absent", "acl="),
    Case("read the retention where there is none", "GET", f"{MAIN}/ten", "retention="),
    Case("read the legal hold where there is none", "GET", f"{MAIN}/ten", "legal-hold="),
)

VERSIONED = "/@{versions}/key"
KEEP_VERSION = "(?im)^x-amz-version-id: (.*)$"
VERSIONS = (
    Case("put a first version", "PUT", VERSIONED, body="first", keep={"v1": KEEP_VERSION}),
    Case("put a second version", "PUT", VERSIONED, body="second", keep={"v2": KEEP_VERSION}),
    Case("put a third version with the same bytes", "PUT", VERSIONED, body="second", keep={"v3": KEEP_VERSION}),
    Case("get the newest version", "GET", VERSIONED),
    Case("get a version", "GET", VERSIONED, "versionId=@{v1}"),
    Case("get a range of a version", "GET", VERSIONED, "versionId=@{v1}", {"range": "bytes=1-2"}),
    Case("head of a version", "HEAD", VERSIONED, "versionId=@{v2}"),
    Case("get a version that never was", "GET", VERSIONED, "versionId=00000000000000000000000000000000"),
    Case("get a version that is no version", "GET", VERSIONED, "versionId=..%2F.."),
    Case("get the null version", "GET", VERSIONED, "versionId=null"),
    Case("tags of a version", "GET", VERSIONED, "tagging=&versionId=@{v1}"),
    document("set the tags of a version", "PUT", VERSIONED, "tagging=&versionId=@{v1}", TAGS),
    Case("ACL of a version", "GET", VERSIONED, "acl=&versionId=@{v2}"),
    Case("copy of a version", "PUT", "/@{versions}/copy", headers={
        "x-amz-copy-source": "@{versions}/key?versionId=@{v1}"}),
    Case("delete the newest", "DELETE", VERSIONED, keep={"marker": KEEP_VERSION}),
    Case("get what has a marker above it", "GET", VERSIONED),
    Case("head of what has a marker above it", "HEAD", VERSIONED),
    Case("get the marker", "GET", VERSIONED, "versionId=@{marker}"),
    Case("get a version below the marker", "GET", VERSIONED, "versionId=@{v3}"),
    Case("every version", "GET", "/@{versions}", "versions=", keep={"v4": "<Key>copy</Key><VersionId>([^<]*)<"}),
    Case("every version, one at a time", "GET", "/@{versions}", "versions=&max-keys=1"),
    Case("every version after one", "GET", "/@{versions}", "versions=&key-marker=key&version-id-marker=@{v3}"),
    Case("every version after a key", "GET", "/@{versions}", "versions=&key-marker=copy"),
    Case("every version below a prefix", "GET", "/@{versions}",
         "versions=&prefix=k&delimiter=y&encoding-type=url&max-keys=10"),
    Case("delete the marker", "DELETE", VERSIONED, "versionId=@{marker}"),
    Case("delete a version", "DELETE", VERSIONED, "versionId=@{v2}"),
    Case("delete a version again", "DELETE", VERSIONED, "versionId=@{v2}"),
    document("delete versions by list", "POST", "/@{versions}", "delete=",
             "<Delete><Object><Key>key</Key><VersionId>@{v3}</VersionId></Object>"
             "<Object><Key>copy</Key><VersionId>@{v4}</VersionId></Object></Delete>"),
    Case("what is left of the versions", "GET", "/@{versions}", "versions="),
)

UNTIL = "2020-01-01T00:00:00.000Z"
LOCKED = "/@{locked}/key"
LOCKS = (
    Case("put under the default lock", "PUT", LOCKED, body=TEN, md5=True, keep={"lv": KEEP_VERSION}),
    Case("head of a locked object", "HEAD", LOCKED),
    Case("read the retention", "GET", LOCKED, "retention="),
    Case("delete a locked version", "DELETE", LOCKED, "versionId=@{lv}"),
    document("set a retention in the past", "PUT", LOCKED, "retention=",
             f"<Retention {XMLNS}><Mode>GOVERNANCE</Mode><RetainUntilDate>{UNTIL}</RetainUntilDate></Retention>"),
    document("set a legal hold", "PUT", LOCKED, "legal-hold=", f"<LegalHold {XMLNS}><Status>ON</Status></LegalHold>"),
    Case("read the legal hold", "GET", LOCKED, "legal-hold="),
    document("release the legal hold", "PUT", LOCKED, "legal-hold=",
             f"<LegalHold {XMLNS}><Status>OFF</Status></LegalHold>"),
    Case("delete a locked version with leave to", "DELETE", LOCKED, "versionId=@{lv}",
         {"x-amz-bypass-governance-retention": "true"}),
)

CASES = (PUTS + READS + RANGES + CONDITIONS + OVERRIDES + PRESIGNED + WHO + NAMES + COPIES + ATTACHED + VERSIONS
         + LOCKS)
