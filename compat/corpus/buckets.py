"""The service, buckets, and everything that is set on a bucket. Objects come later: here buckets are empty."""

from corpus.case import BUCKETS, XMLNS, XSI, Case, document
from rawhttp import UNSIGNED

MAIN, RULES, SPARE = "/@{main}", "/@{rules}", "/@{spare}"

SERVICE = (
    Case("no bucket yet", "GET", "/", keep={"owner": "<ID>([^<]*)</ID>"}),
    Case("HEAD of the service", "HEAD", "/"),
    Case("OPTIONS of the service", "OPTIONS", "/"),
    Case("DELETE of the service", "DELETE", "/"),
    Case("POST to the service", "POST", "/"),
    Case("a bucket before it is made", "GET", MAIN),
    Case("HEAD of a bucket before it is made", "HEAD", MAIN),
    *(Case(f"make {name}", "PUT", f"/@{{{name}}}") for name in BUCKETS
      if name not in ("gone", "locked", "public", "rules")),
    document("make with a location", "PUT", RULES, "",
             f"<CreateBucketConfiguration {XMLNS}><LocationConstraint></LocationConstraint>"
             "</CreateBucketConfiguration>"),
    Case("make with an object lock", "PUT", "/@{locked}", headers={"x-amz-bucket-object-lock-enabled": "true"}),
    Case("make with a canned ACL", "PUT", "/@{public}", headers={"x-amz-acl": "public-read"}),
    Case("make again", "PUT", MAIN),
    document("make at an unknown place", "PUT", "/@{gone}", "",
             f"<CreateBucketConfiguration {XMLNS}><LocationConstraint>the-moon</LocationConstraint>"
             "</CreateBucketConfiguration>"),
    document("make with a document that is none", "PUT", "/@{gone}", "", "<CreateBucket"),
    Case("every bucket", "GET", "/"),
    Case("every bucket, with parameters of the listing", "GET", "/", "max-buckets=2&prefix=nothing"),
    Case("every bucket, not as XML", "GET", "/", "format=json"),
    Case("usage of the service", "GET", "/", "usage="),
    Case("usage of the service, not as XML", "GET", "/", "usage=&format=json"),
    Case("HEAD of a bucket", "HEAD", MAIN),
    Case("OPTIONS of a bucket without CORS", "OPTIONS", MAIN,
         headers={"origin": "http://a.example", "access-control-request-method": "GET"}),
    Case("PATCH of a bucket", "PATCH", MAIN),
    Case("POST to a bucket", "POST", MAIN),
    Case("a bucket with a slash at its end", "GET", f"{MAIN}/"),
    Case("a bucket under a name nobody may have", "PUT", "/Not_A_Name"),
    Case("a bucket of a tenant nobody has", "GET", "/nobody%3Abucket"),
    Case("a bucket of two letters", "PUT", "/ab"),
    Case("a bucket like an address", "PUT", "/192.168.5.4"),
    Case("delete what is not there", "DELETE", "/@{gone}"),
)

READ_NOTHING_SET = tuple(
    Case(f"read {name}, nothing set", "GET", MAIN, f"{name}=")
    for name in (
        "accelerate", "acl", "analytics", "cors", "encryption", "inventory", "intelligent-tiering", "location",
        "logging", "metrics", "notification", "object-lock", "ownershipControls", "policy", "policyStatus",
        "publicAccessBlock", "replication", "requestPayment", "tagging", "uploads", "versioning", "versions", "website",
    )
)

ACL = (
    f'<AccessControlPolicy {XMLNS}><Owner><ID>@{{owner}}</ID></Owner><AccessControlList><Grant>'
    f'<Grantee {XSI} xsi:type="CanonicalUser"><ID>@{{owner}}</ID></Grantee><Permission>FULL_CONTROL</Permission>'
    f'</Grant><Grant><Grantee {XSI} xsi:type="Group"><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>'
    "</Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
)
CORS = (
    f"<CORSConfiguration {XMLNS}><CORSRule><ID>one</ID><AllowedOrigin>http://a.example</AllowedOrigin>"
    "<AllowedMethod>GET</AllowedMethod><AllowedMethod>PUT</AllowedMethod><AllowedHeader>*</AllowedHeader>"
    "<ExposeHeader>x-amz-meta-colour</ExposeHeader><MaxAgeSeconds>300</MaxAgeSeconds></CORSRule></CORSConfiguration>"
)
TAGS = (
    f"<Tagging {XMLNS}><TagSet><Tag><Key>colour</Key><Value>blue &amp; green</Value></Tag>"
    "<Tag><Key>prüf</Key><Value>ja</Value></Tag></TagSet></Tagging>"
)
POLICY = (
    '{"Version":"2012-10-17","Statement":[{"Sid":"read","Effect":"Allow","Principal":"*",'
    '"Action":"s3:GetObject","Resource":"arn:aws:s3:::@{public}/open/*"}]}'
)
WEBSITE = (
    f"<WebsiteConfiguration {XMLNS}><IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
    "<ErrorDocument><Key>error.html</Key></ErrorDocument></WebsiteConfiguration>"
)
ENCRYPTION = (
    f"<ServerSideEncryptionConfiguration {XMLNS}><Rule><ApplyServerSideEncryptionByDefault>"
    "<SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule>"
    "</ServerSideEncryptionConfiguration>"
)
BLOCK = (
    f"<PublicAccessBlockConfiguration {XMLNS}><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>false"
    "</IgnorePublicAcls><BlockPublicPolicy>false</BlockPublicPolicy><RestrictPublicBuckets>false"
    "</RestrictPublicBuckets></PublicAccessBlockConfiguration>"
)
LIFECYCLE = (
    f"<LifecycleConfiguration {XMLNS}><Rule><ID>old</ID><Filter><Prefix>old/</Prefix></Filter><Status>Enabled</Status>"
    "<Expiration><Days>3650</Days></Expiration></Rule><Rule><ID>uploads</ID><Filter><Prefix></Prefix></Filter>"
    "<Status>Disabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
    "</AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>"
)
VERSIONING = f"<VersioningConfiguration {XMLNS}><Status>Enabled</Status></VersioningConfiguration>"
LOCK = (
    f"<ObjectLockConfiguration {XMLNS}><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
    "<Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
)
REPLICATION = (
    f"<ReplicationConfiguration {XMLNS}><Role></Role><Rule><ID>all</ID><Status>Enabled</Status><Prefix></Prefix>"
    "<Destination><Bucket>arn:aws:s3:::@{gone}</Bucket></Destination></Rule></ReplicationConfiguration>"
)
NOTIFICATION = (
    f"<NotificationConfiguration {XMLNS}><TopicConfiguration><Id>none</Id><Topic>arn:aws:sns:default::none</Topic>"
    "<Event>s3:ObjectCreated:*</Event></TopicConfiguration></NotificationConfiguration>"
)
PAYER = f"<RequestPaymentConfiguration {XMLNS}><Payer>Requester</Payer></RequestPaymentConfiguration>"
LOGGING = f"<BucketLoggingStatus {XMLNS}></BucketLoggingStatus>"


def set_read_remove(name, path, query, body):
    """What is set comes back, and goes."""
    return (
        document(f"set {name}", "PUT", path, query, body),
        Case(f"read {name}, set", "GET", path, query),
        Case(f"remove {name}", "DELETE", path, query),
        Case(f"read {name}, removed", "GET", path, query),
    )


SETTINGS = (
    document("set an ACL", "PUT", "/@{other}", "acl=", ACL),
    Case("read the ACL", "GET", "/@{other}", "acl="),
    Case("set a canned ACL", "PUT", "/@{other}", "acl=", {"x-amz-acl": "private"}),
    Case("set an ACL by grants", "PUT", "/@{other}", "acl=", {"x-amz-grant-read": "id=@{owner}"}),
    Case("set a canned ACL again", "PUT", "/@{other}", "acl=", {"x-amz-acl": "private"}, payload=UNSIGNED),
    Case("set an unknown canned ACL", "PUT", "/@{other}", "acl=", {"x-amz-acl": "everybody"}),
    document("set an ACL of somebody unknown", "PUT", "/@{other}", "acl=",
             ACL.replace("<ID>@{owner}</ID></Grantee>", "<ID>nobody-at-all</ID></Grantee>")),
    document("set an ACL that is none", "PUT", "/@{other}", "acl=", "<AccessControlPolicy>"),
    *set_read_remove("tags", MAIN, "tagging=", TAGS),
    document("set tags that are none", "PUT", MAIN, "tagging=", "no tags"),
    document("set CORS", "PUT", MAIN, "cors=", CORS),
    Case("read CORS, set", "GET", MAIN, "cors="),
    Case("a preflight that is allowed", "OPTIONS", f"{MAIN}/key", headers={
        "origin": "http://a.example", "access-control-request-method": "PUT",
        "access-control-request-headers": "x-amz-date,content-type"}, auth="nobody"),
    Case("a preflight that is refused", "OPTIONS", f"{MAIN}/key", headers={
        "origin": "http://b.example", "access-control-request-method": "DELETE"}, auth="nobody"),
    Case("an actual request of another origin", "GET", MAIN, headers={"origin": "http://a.example"}),
    Case("remove CORS", "DELETE", MAIN, "cors="),
    Case("set a policy", "PUT", "/@{public}", "policy=", {"content-type": "application/json"}, POLICY),
    Case("read the policy", "GET", "/@{public}", "policy="),
    Case("read the policy's status", "GET", "/@{public}", "policyStatus="),
    Case("set a policy that is none", "PUT", "/@{public}", "policy=", {}, '{"Version":'),
    *set_read_remove("a website", SPARE, "website=", WEBSITE),
    *set_read_remove("encryption", SPARE, "encryption=", ENCRYPTION),
    *set_read_remove("the block of public access", "/@{other}", "publicAccessBlock=", BLOCK),
    *set_read_remove("lifecycle", RULES, "lifecycle=", LIFECYCLE),
    document("set a lifecycle that is none", "PUT", RULES, "lifecycle=", "<LifecycleConfiguration>"),
    document("set a lifecycle with an unknown class", "PUT", RULES, "lifecycle=", LIFECYCLE.replace(
        "<Expiration><Days>3650</Days></Expiration>",
        "<Transition><Days>1</Days><StorageClass>MOON</StorageClass></Transition>")),
    document("set versioning", "PUT", "/@{versions}", "versioning=", VERSIONING),
    Case("read versioning, set", "GET", "/@{versions}", "versioning="),
    document("set versioning to what it cannot be", "PUT", RULES, "versioning=",
             VERSIONING.replace("Enabled", "Perhaps")),
    Case("read the lock of a bucket", "GET", "/@{locked}", "object-lock="),
    document("set a default lock", "PUT", "/@{locked}", "object-lock=", LOCK),
    Case("read the default lock", "GET", "/@{locked}", "object-lock="),
    document("set a lock where none can be", "PUT", RULES, "object-lock=", LOCK),
    document("set a requester who pays", "PUT", "/@{other}", "requestPayment=", PAYER),
    Case("read who pays", "GET", "/@{other}", "requestPayment="),
    document("set the owner to pay again", "PUT", "/@{other}", "requestPayment=",
             PAYER.replace("Requester", "BucketOwner")),
    document("set logging", "PUT", RULES, "logging=", LOGGING),
    document("set a notification to an unknown topic", "PUT", RULES, "notification=", NOTIFICATION),
    document("set replication to nowhere", "PUT", RULES, "replication=", REPLICATION),
    Case("remove replication", "DELETE", RULES, "replication="),
    Case("set a quota", "PUT", RULES, "quota=", {}, "<Quota/>"),
    Case("set the acceleration", "PUT", RULES, "accelerate=", {},
         f"<AccelerateConfiguration {XMLNS}><Status>Enabled</Status></AccelerateConfiguration>"),
)

UNKNOWN = (
    Case("read an unknown sub-resource", "GET", RULES, "nonsense="),
    Case("read an unknown sub-resource with a value", "GET", RULES, "nonsense=some%20value%2Bmore"),
    Case("set an unknown sub-resource", "PUT", RULES, "nonsense=", {}, "<Nonsense/>"),
    # A store that does not know these may take them for the removal of the bucket.
    Case("make the spare bucket again", "PUT", SPARE),
    Case("delete an unknown sub-resource", "DELETE", SPARE, "nonsense="),
    Case("delete a sub-resource few stores know", "DELETE", SPARE, "ownershipControls="),
    Case("what became of the bucket", "HEAD", SPARE),
    Case("post to an unknown sub-resource", "POST", RULES, "nonsense=", {}, "nonsense"),
    Case("a vendor's sub-resource: meta search", "GET", RULES, "mdsearch="),
    Case("a vendor's sub-resource: sync policy", "GET", RULES, "sync="),
    Case("a vendor's sub-resource: bucket statistics", "GET", RULES, "stats="),
    Case("a vendor's admin path", "GET", "/admin/usage", "format=json"),
    Case("a vendor's extended listing", "GET", RULES, "allow-unordered=true&max-keys=3"),
    Case("two sub-resources at once", "GET", RULES, "acl=&versioning="),
    Case("a sub-resource and listing parameters", "GET", RULES, "location=&prefix=p&max-keys=1"),
    Case("x-id, which clients send and nobody reads", "GET", RULES, "location=&x-id=GetBucketLocation"),
    Case("an unknown x-amz header", "GET", RULES, "location=", {"x-amz-unheard-of": "yes"}),
    Case("the expected owner", "GET", RULES, "location=", {"x-amz-expected-bucket-owner": "000000000000"}),
    Case("a header of a vendor", "GET", RULES, "location=", {"x-rgw-something": "1", "x-minio-extension": "2"}),
)

CASES = SERVICE + READ_NOTHING_SET + SETTINGS + UNKNOWN
