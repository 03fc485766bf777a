"""One side of a comparison: who is asked, with which keys, and what is known from its answers so far."""

import http.client
import re
import socket
from dataclasses import dataclass, replace

from corpus import BUCKETS, fill
from corpus.case import digest
from rawhttp import Raw, Request, presigned, quote

SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
CHUNK_OVERHEAD = len(";chunk-signature=") + 64 + 4
SECONDS_TO_ANSWER = 30
LATE_MINUTES = -16


@dataclass(frozen=True)
class Answer:
    """Status, headers as they came (names in small letters), body. Status None: the connection ended instead."""

    status: int | None
    headers: tuple
    body: bytes

    def text(self):
        """Headers as lines, then the body: what patterns look for."""
        lines = [f"{name}: {value}\n" for name, value in self.headers]
        return "".join(lines) + "\n" + self.body.decode("latin-1")

    def code(self):
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found and found[1].decode()


class Side:
    """`prefix` begins the name of every bucket of this side; all sides need prefixes of one length, since names are
    part of documents whose length counts."""

    def __init__(self, name, port, keys, region, prefix):
        self.name, self.port, self.region = name, port, region
        self.access_key, self.secret = keys
        self.known = {bucket: prefix + bucket for bucket in BUCKETS}
        self.known |= {"host": f"127.0.0.1:{port}", "access_key": self.access_key}
        self.raw = None

    def close(self):
        if self.raw is not None:
            self.raw.socket.close()
            self.raw = None

    def ask(self, case):
        """Sends the case on the connection that is open, if any; remembers what it asks to."""
        request = self.request(case)
        if self.raw is None:
            self.raw = Raw(self.port, SECONDS_TO_ANSWER)
        answer = exchange(self.raw, request, case)
        if not may_go_on(case, answer):
            self.close()
        for name, pattern in case.keep.items():
            found = re.search(pattern, answer.text())
            if found:
                self.known[name] = found[1].strip()
        return answer

    def quoted(self):
        return {name: quote(value) for name, value in self.known.items()}

    def request(self, case):
        """The case with its names filled in, as what is sent."""
        body = fill(case.body.encode() if isinstance(case.body, str) else case.body, self.known)
        headers = {name: [fill(each, self.known) for each in ([value] if isinstance(value, str) else value)]
                   for name, value in case.headers.items()}
        if case.md5:
            headers["content-md5"] = digest("md5", body)
        request = Request(case.method, fill(case.path, self.known), fill(case.query, self.quoted()), headers, body=body,
                          payload=case.payload, access_key=self.access_key, secret=self.secret, region=self.region)
        if case.chunks:
            sizes = [*(len(body[at : at + case.chunks]) for at in range(0, len(body), case.chunks)), 0]
            request.headers["x-amz-decoded-content-length"] = str(len(body))
            request.headers.setdefault("content-encoding", []).insert(0, "aws-chunked")
            request.headers["content-encoding"] = ",".join(request.headers["content-encoding"])
            request.payload = SIGNED_CHUNKS
            request.length = sum(len(f"{size:x}") + CHUNK_OVERHEAD + size for size in sizes)
        return self.signed(request, case.auth)

    def signed(self, request, auth):
        host = self.known["host"]
        match auth:
            case "header":
                return request
            case "presigned":
                return presigned(request, host, 300)
            case "expired":
                return presigned(replace(request, minutes_ahead=-60), host, 300)
            case "nobody":
                return replace(request, access_key=None)
            case "wrong secret":
                return replace(request, secret="not the secret")
            case "unknown key":
                return replace(request, access_key="NOBODYSKEY0000000001")
            case "late clock":
                return replace(request, minutes_ahead=LATE_MINUTES)
        raise ValueError(f"no way to sign is named {auth}")


def may_go_on(case, answer):
    """Whether the next request may follow on the connection. After a refusal the other side may not have read the
    body; and after an answer to HEAD that speaks of chunks, some stores send the end of them."""
    chunks_of_a_head = case.method == "HEAD" and ("transfer-encoding", "chunked") in answer.headers
    refused = answer.status is None or answer.status >= 400
    return not (refused or chunks_of_a_head or ("connection", "close") in answer.headers)


def exchange(raw, request, case):
    """Sends the request as the case says; gives the answer."""
    try:
        signer = raw.send_head(request, **({"expect": "100-continue"} if case.waits else {}))
        if not case.waits or told_to_continue(raw.socket):
            for piece in pieces(request, case, signer):
                raw.send(piece)
        response = http.client.HTTPResponse(raw.socket, method=request.method)
        response.begin()
        headers = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answer(response.status, headers, response.read())
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, (), repr(error).encode())


def pieces(request, case, signer):
    if not case.chunks:
        return [request.body] if request.body else []
    data = request.body
    return [signer.chunk(data[at : at + case.chunks]) for at in range(0, len(data), case.chunks)] + [signer.chunk(b"")]


def told_to_continue(stream):
    """Waits for what comes first, 100 Continue or an answer; the answer is left to be read."""
    while True:
        seen = stream.recv(1 << 16, socket.MSG_PEEK)
        if not seen:
            return False
        head, whole, _ = seen.partition(b"\r\n\r\n")
        if whole:
            return head.startswith(b"HTTP/1.1 100")


