"""Listings of both kinds with every parameter, where odd and plain names are by now; and deletes by list."""

from corpus.case import Case, document
from rawhttp import encode, quote

MAIN = "/@{main}"
LISTED = ("list/a", "list/b/1", "list/b/2", "list/c d", "list/ü", "list/+", "list/z")

PUTS = tuple(Case(f"put {key!r}", "PUT", f"{MAIN}/{encode(key)}", body=key) for key in LISTED)

BOTH = {
    "everything": "",
    "a prefix": "prefix=list%2F",
    "a prefix of nothing": "prefix=nothing%2F",
    "an empty prefix": "prefix=",
    "a delimiter": "delimiter=%2F",
    "a prefix and a delimiter": "prefix=list%2F&delimiter=%2F",
    "a delimiter of several letters": "prefix=list%2F&delimiter=b%2F",
    "a prefix beyond ASCII": "prefix=list%2F%C3%BC",
    "encoded names": "encoding-type=url",
    "encoded names, a prefix and a delimiter": "encoding-type=url&prefix=list%2Fc%20&delimiter=d",
    "an unknown encoding": "encoding-type=base64",
    "one key": "prefix=list%2F&max-keys=1",
    "two keys, grouped": "prefix=list%2F&delimiter=%2F&max-keys=2",
    "no keys": "max-keys=0",
    "more keys than there can be": "prefix=list%2F&max-keys=100000",
    "a negative number of keys": "max-keys=-1",
    "no number of keys": "max-keys=many",
    "a delimiter that is empty": "prefix=list%2F&delimiter=",
    "parameters nobody knows": "prefix=list%2F&flavour=sweet",
}

FIRST_KIND = tuple(Case(f"list with {what}", "GET", MAIN, query) for what, query in BOTH.items()) + (
    Case("list after a marker", "GET", MAIN, "prefix=list%2F&marker=list%2Fb%2F1"),
    Case("list after a marker that is no key", "GET", MAIN, "prefix=list%2F&marker=list%2Fb%2F1x&max-keys=2"),
    Case("list after a group", "GET", MAIN, "prefix=list%2F&delimiter=%2F&marker=list%2Fb%2F"),
    Case("list after an encoded marker", "GET", MAIN, "marker=" + quote("list/ü") + "&encoding-type=url"),
    Case("list of no bucket", "GET", "/@{gone}"),
)

SECOND_KIND = tuple(
    Case(f"list, V2, with {what}", "GET", MAIN, "list-type=2" + (f"&{query}" if query else ""))
    for what, query in BOTH.items()
) + (
    Case("list, V2, with owners", "GET", MAIN, "list-type=2&prefix=list%2F&fetch-owner=true"),
    Case("list, V2, after a key", "GET", MAIN, "list-type=2&prefix=list%2F&start-after=list%2Fc%20d"),
    Case("list, V2, first page", "GET", MAIN, "list-type=2&prefix=list%2F&max-keys=3",
         keep={"token": "<NextContinuationToken>([^<]*)<"}),
    Case("list, V2, second page", "GET", MAIN, "list-type=2&prefix=list%2F&max-keys=3&continuation-token=@{token}"),
    Case("list, V2, a token and a key to start after", "GET", MAIN,
         "list-type=2&prefix=list%2F&continuation-token=@{token}&start-after=list%2Fz"),
    Case("list, V2, with a token that is none", "GET", MAIN, "list-type=2&continuation-token=nonsense"),
    Case("list, V2, with an empty token", "GET", MAIN, "list-type=2&continuation-token="),
    Case("list of a third kind", "GET", MAIN, "list-type=3"),
    Case("list, V2, with optional attributes", "GET", MAIN, "list-type=2&prefix=list%2Fa",
         {"x-amz-optional-object-attributes": "RestoreStatus"}),
    Case("list, V2, of no bucket", "GET", "/@{gone}", "list-type=2"),
    Case("versions where there are none", "GET", MAIN, "versions=&prefix=list%2F&max-keys=2"),
)


def delete(keys, quiet=None):
    objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f"<Delete>{'' if quiet is None else f'<Quiet>{quiet}</Quiet>'}{objects}</Delete>"


DELETES = (
    Case("delete", "DELETE", f"{MAIN}/list/z"),
    Case("delete again", "DELETE", f"{MAIN}/list/z"),
    Case("delete in no bucket", "DELETE", "/@{gone}/key"),
    Case("delete the null version", "DELETE", f"{MAIN}/{encode('list/+')}", "versionId=null"),
    document("delete by list", "POST", MAIN, "delete=", delete(("list/a", "list/ü", "list/never"))),
    document("delete by list, quietly", "POST", MAIN, "delete=", delete(("list/b/1", "list/never"), "true")),
    document("delete by list, not quietly", "POST", MAIN, "delete=", delete(("list/b/2",), "false")),
    document("delete by list, with encoded names", "POST", MAIN, "delete=", delete(("list/c&#32;d", "a&amp;b"))),
    document("delete by an empty list", "POST", MAIN, "delete=", "<Delete></Delete>"),
    document("delete by what is no list", "POST", MAIN, "delete=", "<Delete><Object>"),
    document("delete by what is no XML", "POST", MAIN, "delete=", '{"Objects": []}'),
    Case("delete by list without an MD5", "POST", MAIN, "delete=", {}, delete(("never",))),
    Case("delete by list with a wrong MD5", "POST", MAIN, "delete=", {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="},
         delete(("never",))),
    document("delete by list in no bucket", "POST", "/@{gone}", "delete=", delete(("key",))),
    Case("delete a bucket that is full", "DELETE", MAIN),
    Case("what is left", "GET", MAIN, "list-type=2"),
)

CASES = PUTS + FIRST_KIND + SECOND_KIND + DELETES
