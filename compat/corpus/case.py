"""One request of the corpus, as data."""

import base64
import hashlib
import re
from dataclasses import dataclass, field

NAME = re.compile(r"@\{(\w+)\}")
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Case:
    """A request and what to remember of its answer. Anywhere in path, query, headers and body `@{name}` stands for
    what differs from side to side: a bucket (see BUCKETS), the host, the keys, and what earlier answers gave.

    `auth` is how it is signed: "header", "presigned", "expired" (presigned, and too late), "nobody", "wrong secret",
    "unknown key", "late clock". `payload` is what x-amz-content-sha256 says when not the body's own digest; `md5` adds
    Content-MD5. With `chunks` the body goes in signed chunks of that many bytes; with `waits` it is sent only after
    100 Continue. `keep` is by name a pattern of the answer's headers ("name: value" lines) and body.
    """

    name: str
    method: str
    path: str
    query: str = ""
    headers: dict = field(default_factory=dict)
    body: str | bytes = b""
    auth: str = "header"
    payload: str | None = None
    md5: bool = False
    chunks: int | None = None
    waits: bool = False
    keep: dict = field(default_factory=dict)


# Every bucket the cases use, by what it is for. `rules` holds what a gateway keeps to itself on buckets it manages;
# `spare` may come and go; `gone` never exists.
BUCKETS = ("main", "other", "versions", "locked", "rules", "public", "spare", "gone")


def fill(text, known):
    """`text` with its names replaced by what is known; what a store never told is the same word on every side."""
    if isinstance(text, bytes):
        return fill(text.decode("latin-1"), known).encode("latin-1")
    return NAME.sub(lambda found: known.get(found[1], UNKNOWN), text)


def digest(name, data):
    """A digest as headers carry it."""
    return base64.b64encode(hashlib.new(name, data).digest()).decode()


def document(name, method, path, query, body, **more):
    """A request with an XML document, and its MD5, which operations of old demand."""
    return Case(name, method, path, query, {"content-type": "application/xml"}, body, md5=True, **more)


XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
