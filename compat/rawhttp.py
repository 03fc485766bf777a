"""Requests by hand: signed here, sent byte by byte, so that everything about them can be wrong."""

import datetime
import hashlib
import hmac
import re
import socket
import urllib.parse
from dataclasses import dataclass, field, replace

from harness import ACCESS_KEY, REGION, SECRET_KEY
from report import check

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
ANSWER_BYTES_MAX = 1 << 20


@dataclass
class Request:
    """What is to be sent. `path` and `query` are encoded already. Headers are signed, `unsigned` ones are not; a list
    of values is sent as that many headers. Without an access key it is nobody's request."""

    method: str
    path: str
    query: str = ""
    headers: dict = field(default_factory=dict)
    unsigned: dict = field(default_factory=dict)
    body: bytes = b""
    payload: str | None = None
    access_key: str | None = ACCESS_KEY
    secret: str = SECRET_KEY
    region: str = REGION
    minutes_ahead: int = 0
    length: int | None = None


class Signer:
    """Signature Version 4 of one request, and of the chunks that follow it."""

    def __init__(self, request, host):
        now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=request.minutes_ahead)
        self.date = now.strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.date[:8]}/{request.region}/s3/aws4_request"
        self.key = f"AWS4{request.secret}".encode()
        for part in self.scope.split("/"):
            self.key = hmac.digest(self.key, part.encode(), "sha256")
        payload = request.payload or hashlib.sha256(request.body).hexdigest()
        self.headers = {"host": host, "x-amz-date": self.date, "x-amz-content-sha256": payload}
        self.headers |= {name.lower(): value for name, value in request.headers.items()}
        names = ";".join(sorted(self.headers))
        lines = [request.method, request.path, canonical_query(request.query)]
        lines += [f"{name}:{canonical_value(self.headers[name])}" for name in sorted(self.headers)]
        canonical = "\n".join([*lines, "", names, payload])
        self.previous = self.sign("AWS4-HMAC-SHA256", sha256(canonical.encode()))
        if request.access_key is None:
            del self.headers["x-amz-date"], self.headers["x-amz-content-sha256"]
            return
        credential = f"{request.access_key}/{self.scope}"
        self.headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={self.previous}"
        )

    def sign(self, algorithm, *parts):
        text = "\n".join([algorithm, self.date, self.scope, *parts])
        return hmac.new(self.key, text.encode(), "sha256").hexdigest()

    def chunk(self, data):
        """A signed chunk as it is sent."""
        self.previous = self.sign("AWS4-HMAC-SHA256-PAYLOAD", self.previous, EMPTY_SHA256, sha256(data))
        return f"{len(data):x};chunk-signature={self.previous}\r\n".encode() + data + b"\r\n"


def presigned(request, host, seconds):
    """`request` as nobody's, with a query that lets anybody send it for `seconds`; its headers must come with it."""
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=request.minutes_ahead)
    signed = {"host": host} | request.headers
    fields = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{request.access_key}/{now:%Y%m%d}/{request.region}/s3/aws4_request",
        "X-Amz-Date": f"{now:%Y%m%dT%H%M%SZ}",
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": ";".join(sorted(signed)),
    }
    query = "&".join([*filter(None, [request.query]), *(f"{name}={quote(text)}" for name, text in fields.items())])
    lines = [request.method, request.path, canonical_query(query)]
    lines += [f"{name}:{canonical_value(signed[name])}" for name in sorted(signed)]
    canonical = "\n".join([*lines, "", fields["X-Amz-SignedHeaders"], UNSIGNED])
    signature = Signer(request, host).sign("AWS4-HMAC-SHA256", sha256(canonical.encode()))
    return replace(request, query=f"{query}&X-Amz-Signature={signature}", access_key=None)


def canonical_value(header):
    return ",".join(" ".join(each.split()) for each in values(header))


def values(header):
    """What is sent of a header: one value, or each of a list."""
    return [each.strip() for each in ([header] if isinstance(header, str) else header)]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def canonical_query(query):
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
    return "&".join(f"{name}={value}" for name, value in pairs)


def quote(text):
    """A value in a query."""
    return urllib.parse.quote(text, safe="~")


def encode(key):
    return urllib.parse.quote(key, safe="/~")


class Raw:
    """One connection."""

    def __init__(self, port, seconds=20):
        self.host = f"127.0.0.1:{port}"
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        # A body follows its head at once.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send_head(self, request, **more_headers):
        """Sends request line and headers; gives the signer for the chunks to come."""
        signer = Signer(request, self.host)
        headers = signer.headers | request.unsigned | more_headers
        length = len(request.body) if request.length is None else request.length
        if "transfer-encoding" not in headers and length >= 0:
            headers.setdefault("content-length", str(length))
        target = request.path + (f"?{request.query}" if request.query else "")
        lines = [f"{request.method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, each in headers.items() for value in values(each)]
        self.send("\r\n".join([*lines, "", ""]).encode())
        return signer

    def send(self, data):
        """Sends what the other side takes; an answer may be there before all was sent."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def end_of_sending(self):
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self, method="GET"):
        """(status, code, body) of the final answer; status None when the connection was closed without one."""
        received = b""
        while True:
            head, separator, rest = received.partition(b"\r\n\r\n")
            if separator and head.startswith(b"HTTP/1.1 100"):
                received = rest
                continue
            if separator and (method == "HEAD" or len(rest) >= content_length(head)):
                break
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                check(not separator, f"an answer was cut off: {received[:200]}")
                return None, None, received
            received += more
            check(len(received) <= ANSWER_BYTES_MAX, "an endless answer")
        code = re.search(rb"<Code>([^<]*)</Code>", rest)
        return int(head.split()[1]), code and code[1].decode(), rest


def content_length(head):
    found = re.search(rb"(?im)^content-length: *(\d+)", head)
    return int(found[1]) if found else 0


def ask(port, request):
    """Sends a whole request on a connection of its own; gives its answer."""
    with Raw(port) as raw:
        raw.send_head(request)
        raw.send(request.body)
        return raw.answer(request.method)
