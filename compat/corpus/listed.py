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
NAMES = "the gateway reads names before it lets a request pass, and has S3's codes for those nobody can have"
ARGUMENTS = "the gateway must know which objects a request touches, and refuses values nobody knows, as S3 does"
LISTS = "the gateway reads lists of deletes, since some may be of archived objects, and refuses as S3 does what is none"
FORMS = "the gateway takes forms apart itself, and refuses those that are none with S3's codes"
FORM_PUT = "the gateway makes a PutObject of a form, and this store refuses nobody's otherwise than nobody's form"
SELECT = "a store would search the stub of an archived object, so a managed bucket has no select"
TOTALS = "the gateway keeps restored copies on the store: what the store counts of all buckets together counts them too"
UNTOLD = "the length of the list would tell that there is one bucket more than it shows"
ADDRESS = "this store tells the address its operator gave it; the gateway tells its own, as the client reached it"
PLANE = "callers are not to borrow what the gateway's own key may do to administrate the store"
UNSIGNED = "the gateway sends bodies on as UNSIGNED-PAYLOAD, and this store refuses those by another code"


def refusals(reason, answers):
    """Every case of `answers` is refused by the gateway with that status and code."""
    return {name: Listed(reason, ALL, answer) for name, answer in answers.items()}


# By the kind of store behind; "" is every kind.
LISTED = {
    "": refusals(JUDGES, {
        # Of HEAD there is no code.
        "head with a wrong secret": (403, None),
    }) | refusals(CHECKS, {
        "delete by list with a wrong MD5": (400, "BadDigest"),
    }) | refusals(NAMES, {
        "put under a name with 1025 bytes": (400, "KeyTooLongError"),
        "get under a name with 1025 bytes": (400, "KeyTooLongError"),
        "a name that is not UTF-8": (400, "InvalidURI"),
        "a bucket of a tenant nobody has": (400, "InvalidBucketName"),
    }) | refusals(ARGUMENTS, {
        "list of a third kind": (400, "InvalidArgument"),
    }) | refusals(PLANE, {
        "a vendor's admin path": (403, "AccessDenied"),
    }) | refusals(LISTS, {
        "delete by an empty list": (400, "MalformedXML"),
    }) | refusals(SELECT, {
        "select on an object": (405, "MethodNotAllowed"),
    }) | refusals(FORMS, {
        "POST to a bucket": (412, "PreconditionFailed"),
        "a form with a wrong boundary": (400, "MalformedPOSTRequest"),
        "a form that is none": (400, "MalformedPOSTRequest"),
    }),
    "ceph": {
        "get chunks": Listed(DECODES, ("header content-encoding",)),
        "head of chunks": Listed(DECODES, ("header content-encoding",)),
        "get chunks-gzip": Listed(DECODES, ("header content-encoding",)),
        "usage of the service": Listed(TOTALS, ("body",), (200, None)),
        "usage of the service, not as XML": Listed(TOTALS, ("body",), (200, None)),
    } | refusals(CHECKS, {
        "put with a wrong CRC32": (400, "BadDigest"),
        "put with a wrong SHA-256": (400, "BadDigest"),
    }) | refusals(KEPT, {
        "get wrong-crc32": (404, "NoSuchKey"),
        "get wrong-sha256": (404, "NoSuchKey"),
    }) | refusals(LISTS, {
        "delete by what is no list": (400, "MalformedXML"),
        "delete by what is no XML": (400, "MalformedXML"),
    }) | refusals(UNSIGNED, {
        "post to an unknown sub-resource": (400, "InvalidArgument"),
        "POST to an object": (400, "InvalidArgument"),
        "restore of a hot object of another bucket": (400, "InvalidArgument"),
    }),
    "garage": {
        "HEAD of the service": Listed(UNTOLD, ("header content-length",)),
        "complete": Listed(ADDRESS, ("body",), (200, None)),
        "complete the copies": Listed(ADDRESS, ("body",), (200, None)),
    } | refusals(NAMES, {
        "a bucket under a name nobody may have": (400, "InvalidBucketName"),
        "a bucket of two letters": (400, "InvalidBucketName"),
    }) | refusals(PLANE, {
        "DELETE of the service": (405, "MethodNotAllowed"),
        "POST to the service": (405, "MethodNotAllowed"),
    }) | refusals(JUDGES, {
        "presigned and expired": (403, "AccessDenied"),
        "a wrong secret": (403, "SignatureDoesNotMatch"),
        "an unknown key": (403, "InvalidAccessKeyId"),
        "a clock 16 minutes late": (403, "RequestTimeTooSkewed"),
        "a name that is badly encoded": (403, "SignatureDoesNotMatch"),
        "put with another digest than signed": (400, "XAmzContentSHA256Mismatch"),
    }) | refusals(ARGUMENTS, {
        "copy with an unknown directive": (400, "InvalidArgument"),
        "copy from what is no place": (400, "InvalidArgument"),
    }) | refusals(FORM_PUT, {
        "nobody's form": (403, "AccessDenied"),
    }) | refusals(FORMS, {
        "a form without a key": (400, "InvalidArgument"),
        "a form with a policy of nobody known": (403, "AccessDenied"),
    }),
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
