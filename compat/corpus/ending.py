"""The end: settings that would be in the way of what comes before, and buckets that go."""

from corpus.buckets import BLOCK, VERSIONING
from corpus.case import Case, document

CASES = (
    document("suspend versions", "PUT", "/@{versions}", "versioning=", VERSIONING.replace("Enabled", "Suspended")),
    Case("put into a bucket without versions now", "PUT", "/@{versions}/null", body="null"),
    Case("every version, one of them null", "GET", "/@{versions}", "versions="),
    Case("delete the null version there", "DELETE", "/@{versions}/null", "versionId=null"),
    Case("delete in a bucket without versions now", "DELETE", "/@{versions}/null"),
    Case("get what has a null marker above it", "GET", "/@{versions}/null"),
    Case("delete a bucket of markers", "DELETE", "/@{versions}"),
    Case("delete the null marker", "DELETE", "/@{versions}/null", "versionId=null"),
    Case("delete a bucket that had versions", "DELETE", "/@{versions}"),
    document("block public access", "PUT", "/@{public}", "publicAccessBlock=", BLOCK),
    Case("remove a policy", "DELETE", "/@{public}", "policy="),
    Case("delete what the policy opened", "DELETE", "/@{public}/open/key"),
    Case("delete what was locked", "DELETE", "/@{locked}"),
    Case("delete a bucket", "DELETE", "/@{rules}"),
    Case("delete a bucket again", "DELETE", "/@{rules}"),
    Case("a bucket that went", "GET", "/@{rules}"),
    Case("every bucket that is left", "GET", "/"),
)
