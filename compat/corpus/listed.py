"""What may differ between a store asked directly and asked through the gateway: by case, which parts, and why.

A listed part that no longer differs is told, so that the list stays short.
"""

from dataclasses import dataclass

from corpus import CASES


@dataclass(frozen=True)
class Listed:
    """`parts` may differ ("status", "body", "header NAME", "headers" for all of them); with `answer` the gateway must
    say exactly that status and code."""

    reason: str
    parts: tuple = ("headers", "body")
    answer: tuple | None = None


ALL = ("status", "headers", "body")
JUDGES = "the gateway judges signatures, clocks and digests itself, and says so in its own words"
DECODES = "the gateway takes chunks apart, so that the store does not keep their framing as an encoding"
CHECKS = "the gateway checks digests that some stores ignore, and says so in its own words"
KEPT = "the gateway refused what this store took in spite of its digest"

REFUSED = {
    "presigned and expired": (403, "AccessDenied"),
    "a wrong secret": (403, "SignatureDoesNotMatch"),
    "an unknown key": (403, "InvalidAccessKeyId"),
    "a clock 16 minutes late": (403, "RequestTimeTooSkewed"),
    "put with another digest than signed": (400, "XAmzContentSHA256Mismatch"),
    "put with a wrong MD5": (400, "BadDigest"),
    "put with an MD5 that is none": (400, "InvalidDigest"),
    "part 4, with a wrong MD5": (400, "BadDigest"),
}
CHECKED = ("put with a wrong CRC32", "put with a wrong SHA-256", "delete by list with a wrong MD5")

# By the kind of store behind; "" is every kind.
LISTED = {
    "": {name: Listed(JUDGES, ALL, answer) for name, answer in REFUSED.items()} | {
        "head with a wrong secret": Listed(JUDGES),
    } | {name: Listed(CHECKS, ALL, (400, "BadDigest")) for name in CHECKED},
    "ceph": {
        "get wrong-crc32": Listed(KEPT, ALL, (404, "NoSuchKey")),
        "get wrong-sha256": Listed(KEPT, ALL, (404, "NoSuchKey")),
        "get chunks": Listed(DECODES, ("header content-encoding",)),
        "head of chunks": Listed(DECODES, ("header content-encoding",)),
        "get chunks-gzip": Listed(DECODES, ("header content-encoding",)),
    },
    "garage": {},
}


def listed(store):
    """By case name what may differ with this kind of store behind."""
    return LISTED[""] | LISTED[store]


def allows(entry, part):
    return part in entry.parts or ("headers" in entry.parts and part.startswith("header "))


def strangers():
    """Listed names that are no case's."""
    names = {case.name for case in CASES}
    return sorted(name for entries in LISTED.values() for name in entries if name not in names)
