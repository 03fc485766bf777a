#![allow(clippy::unwrap_used)]
use super::*;

fn complete(inner: &str) -> Result<Vec<CompletedPart>> {
    read_complete(format!("<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>").as_bytes())
}

fn names() -> (BucketName, ObjectKey, Owner) {
    let owner = Owner { id: "i".into(), display_name: "n".into() };
    (BucketName::parse("bkt").unwrap(), ObjectKey::parse("a<b").unwrap(), owner)
}

#[test]
fn lists_of_parts() {
    let parts = complete(
        "<Part><ETag>\"abc\"</ETag><PartNumber>1</PartNumber><ChecksumCRC32>NSRBwg==</ChecksumCRC32></Part>\
         <Part><PartNumber> 10000 </PartNumber><ETag>&quot;def&quot;</ETag></Part>",
    );
    let parts = parts.unwrap();
    assert_eq!((parts[0].number, parts[0].etag.as_str()), (1, "abc"));
    assert_eq!(parts[0].checksums, [("ChecksumCRC32".to_owned(), "NSRBwg==".to_owned())]);
    assert_eq!((parts[1].number, parts[1].etag.as_str()), (10_000, "def"));
    let part = |number: &str| format!("<Part><PartNumber>{number}</PartNumber><ETag>e</ETag></Part>");
    for (inner, code) in [
        (String::new(), Code::MalformedXML),
        (part("x"), Code::MalformedXML),
        ("<Part><PartNumber>1</PartNumber></Part>".to_owned(), Code::MalformedXML),
        ("<Part><ETag>e</ETag></Part>".to_owned(), Code::MalformedXML),
        ("<Part><PartNumber>1</PartNumber><ETag></ETag></Part>".to_owned(), Code::InvalidPart),
        (part("0"), Code::InvalidArgument),
        (part("10001"), Code::InvalidArgument),
        (part("2") + &part("1"), Code::InvalidPartOrder),
        (part("2") + &part("2"), Code::InvalidPartOrder),
    ] {
        assert_eq!(complete(&inner).unwrap_err().code, code, "{inner}");
    }
}

#[test]
fn the_largest_honest_list_is_read() {
    let checksum = "<ChecksumSHA256>ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=</ChecksumSHA256>";
    let etag = "&quot;d41d8cd98f00b204e9800998ecf8427e&quot;";
    let parts: String = (1..=10_000)
        .map(|n| format!("<Part><ETag>{etag}</ETag>{checksum}<PartNumber>{n}</PartNumber></Part>\n"))
        .collect();
    assert_eq!(complete(&parts).unwrap().len(), 10_000);
}

#[test]
fn parameters() {
    let query = |text: &str| Query::parse(text).unwrap();
    assert_eq!(part_number(&query("partNumber=7&uploadId=u")).unwrap(), 7);
    for bad in ["partNumber=0", "partNumber=10001", "partNumber=", "partNumber=x"] {
        assert_eq!(part_number(&query(bad)).unwrap_err().code, Code::InvalidArgument);
    }
    let parsed = PartsRequest::parse(&query("uploadId=u&part-number-marker=3&max-parts=5000")).unwrap();
    assert_eq!(parsed, PartsRequest { after: 3, max_parts: 1000 });
    assert!(PartsRequest::parse(&query("part-number-marker=-1")).is_err());
}

#[test]
fn documents_are_exact() {
    let (bucket, key, owner) = names();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    let ns = "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"";
    assert_eq!(
        text(initiate_document(&bucket, &key, "u")),
        format!(
            "{head}<InitiateMultipartUploadResult {ns}><Bucket>bkt</Bucket><Key>a&lt;b</Key><UploadId>u</UploadId>\
             </InitiateMultipartUploadResult>"
        )
    );
    let etag = ETag::parse("abc-2").unwrap();
    let result = CompleteResult {
        location: "http://h/bkt/a%3Cb",
        bucket: &bucket,
        key: &key,
        etag: &etag,
        checksums: vec![("ChecksumCRC32", "NSRBwg==-2".into()), ("ChecksumType", "COMPOSITE".into())],
    };
    assert_eq!(
        text(result.document()),
        format!(
            "{head}<CompleteMultipartUploadResult {ns}><Location>http://h/bkt/a%3Cb</Location><Bucket>bkt</Bucket>\
             <Key>a&lt;b</Key><ETag>&quot;abc-2&quot;</ETag><ChecksumCRC32>NSRBwg==-2</ChecksumCRC32>\
             <ChecksumType>COMPOSITE</ChecksumType></CompleteMultipartUploadResult>"
        )
    );
    let part =
        PartLine { number: 1, last_modified: Timestamp::from_seconds(0), etag, size: 5, checksums: vec![] };
    let page = PartsPage {
        bucket: &bucket,
        key: &key,
        upload: "u",
        class: StorageClass::Standard,
        owner: &owner,
        checksum: None,
        parts: vec![part],
        more: true,
    };
    assert_eq!(
        text(page.document(PartsRequest { after: 0, max_parts: 1 })),
        format!(
            "{head}<ListPartsResult {ns}><Bucket>bkt</Bucket><Key>a&lt;b</Key><UploadId>u</UploadId>\
             <Initiator><ID>i</ID><DisplayName>n</DisplayName></Initiator>\
             <Owner><ID>i</ID><DisplayName>n</DisplayName></Owner><StorageClass>STANDARD</StorageClass>\
             <PartNumberMarker>0</PartNumberMarker><NextPartNumberMarker>1</NextPartNumberMarker>\
             <MaxParts>1</MaxParts><IsTruncated>true</IsTruncated><Part><PartNumber>1</PartNumber>\
             <LastModified>1970-01-01T00:00:00.000Z</LastModified><ETag>&quot;abc-2&quot;</ETag><Size>5</Size></Part>\
             </ListPartsResult>"
        )
    );
}
