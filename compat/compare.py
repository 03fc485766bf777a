"""Two answers to one request: what differs, after what may differ is taken out.

What may differ stands here, each with its reason; what one case may differ in stands in `corpus/listed.py`.
"""

import re
from dataclasses import dataclass

# Headers that are no part of what the store says.
HEADERS = {
    "date": "the moment of the answer",
    "connection": "of one connection, not of the answer",
    "keep-alive": "of one connection, not of the answer",
    "server": "who answered",
    "x-amz-request-id": "names one request",
    "x-amz-id-2": "names one request",
    "x-trans-id": "names one request",
    "transfer-encoding": "framing: the body is compared as read",
}
# A length is framing too where the body is there to be compared.
LENGTH = "content-length"
# A refusal in the gateway's own words: stores end no line there. It says as much as the store's when status and code
# are the same; the text, what else it names, and what some stores say with every answer are its own.
OWN_REFUSAL = '<?xml version="1.0" encoding="UTF-8"?>\n<Error>'
OF_STORES = {
    "accept-ranges": "some stores say so of errors too",
    "access-control-allow-origin": "some stores say so to everybody, rules or none",
}

# Parts of documents and headers that cannot be equal. The form stays: digits become 0, names of days and months too.
DATES = re.compile(
    r'(?<=<LastModified>)[^<]*|(?<=<CreationDate>)[^<]*|(?<="CreationDate":")[^"]*|'
    r"(?<=<Initiated>)[^<]*|(?<=<RetainUntilDate>)[^<]*"
    r"|(?<=\nlast-modified: )[^\n]*|(?<=\nx-amz-object-lock-retain-until-date: )[^\n]*"
)
REQUEST_NAMES = re.compile(r'(?<=<RequestId>)[^<]*|(?<=<HostId>)[^<]*|(?<="RequestId":")[^"]*|(?<="HostId":")[^"]*')
DATE_WORDS = re.compile(r"Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec")
# Stores leave messages empty, which clients do not survive; a gateway fills them in.
EMPTY_MESSAGE = re.compile(r"<Message></Message>|<Message/>")
ANY_MESSAGE = re.compile(r"<Message>[^<]*</Message>|<Message/>")

# Some stores give every object an id of its version, without having versions, and new each time.
VERSION_NAMES = re.compile(r"(?<=<VersionId>)[0-9a-f]{64}(?=<)|(?<=<DeleteMarkerVersionId>)[0-9a-f]{64}(?=<)"
                           r"|(?<=version-id: )[0-9a-f]{64}(?=\n)")
# Stores delete several at once and tell them as they go, and some keep buckets and uploads by names only they know:
# the order of these says nothing.
UNORDERED = (
    re.compile(r"<Deleted>.*?</Deleted>|<Error><Key>.*?</Error>", re.DOTALL),
    re.compile(r"<Bucket><.*?</Bucket>", re.DOTALL),
    re.compile(r"<Upload>.*?</Upload>", re.DOTALL),
)

# Shorter values are too likely to be part of something else.
KNOWN_LENGTH_MIN = 6
SHOWN_BYTES = 160


@dataclass(frozen=True)
class Difference:
    """`part` is "status", "body" or "header NAME"."""

    case: str
    part: str
    seen: tuple

    def __str__(self):
        return f"{self.case}: {self.part}:\n    {self.seen[0]}\n    {self.seen[1]}"


def differences(case, sides, answers):
    """Every part in which the two answers differ."""
    told = [plain(side, answer) for side, answer in zip(sides, answers, strict=True)]
    (first, second) = answers
    if first.status != second.status:
        shown = tuple(f"{answer.status} {answer.code() or ''}" for answer in answers)
        return [Difference(case.name, "status", shown)]
    bodies = [body for _, body in told]
    own = bodies[1].startswith(OWN_REFUSAL) and not bodies[0].startswith(OWN_REFUSAL)
    found = []
    ignored = HEADERS | OF_STORES if own else HEADERS
    for name in sorted({name for headers, _ in told for name in headers} - set(ignored)):
        if name == LENGTH and case.method != "HEAD" and first.status not in (204, 304):
            continue
        seen = tuple(headers.get(name) for headers, _ in told)
        if seen[0] != seen[1]:
            found.append(Difference(case.name, f"header {name}", seen))
    if own and first.code() == second.code():
        return found
    if EMPTY_MESSAGE.search(bodies[0]):
        bodies = [ANY_MESSAGE.sub("<Message></Message>", body) for body in bodies]
    if bodies[0] != bodies[1]:
        found.append(Difference(case.name, "body", excerpts(*bodies)))
    return found


def plain(side, answer):
    """(headers by name, body) of the answer without what only this side knows and what only this moment knows."""
    text = "\n" + answer.text()
    # The longest first: a value can be part of another. A store may call the owner by the key that asks: to the store
    # that is the gateway's own key, never the client's, so such a value is the owner.
    for name, value in sorted(side.known.items(), key=lambda each: (-len(each[1]), each[0] == "access_key")):
        if len(value) >= KNOWN_LENGTH_MIN:
            text = text.replace(value, f"@{{{name}}}")
    text = REQUEST_NAMES.sub("", text)
    text = DATES.sub(lambda found: re.sub(r"\d", "0", DATE_WORDS.sub("0", found[0])), text)
    text = VERSION_NAMES.sub("version", text)
    for entry in UNORDERED:
        text = in_order(entry, text)
    head, _, body = text.removeprefix("\n").partition("\n\n") if answer.headers else ("", "", text[2:])
    headers = {}
    for line in head.split("\n") if head else []:
        name, _, value = line.partition(": ")
        headers.setdefault(name, []).append(value)
    return headers, body


def in_order(entry, text):
    """`text` with what matches sorted, each at the place of another."""
    told = iter(sorted(entry.findall(text)))
    return entry.sub(lambda _: next(told), text)


def excerpts(first, second):
    """Both from shortly before the place where they part."""
    at = next((at for at, (one, other) in enumerate(zip(first, second)) if one != other),
              min(len(first), len(second)))
    begin = max(0, at - SHOWN_BYTES // 2)
    return tuple(f"{len(each)} bytes, ...{each[begin : begin + SHOWN_BYTES]!r}" for each in (first, second))
