#![allow(clippy::unwrap_used)]
use super::*;
use crate::xml;
use proptest::prelude::*;

fn request(query: &str) -> Result<ListRequest> {
    ListRequest::parse(&Query::parse(query).unwrap(), &HeaderMap::new())
}

fn owner() -> Owner {
    Owner { id: "id".into(), display_name: "name".into() }
}

fn object(key: &str) -> Object {
    Object {
        key: ObjectKey::parse(key).unwrap(),
        last_modified: Timestamp::from_seconds(1_356_048_000),
        etag: ETag::parse("abc").unwrap(),
        checksum_algorithms: vec!["CRC32"],
        size: 3,
        class: StorageClass::Tape(model::TapeClass::Glacier),
        restore: Visible::Readable { until: Timestamp::from_seconds(1_356_048_000) },
    }
}

fn document(request: &ListRequest, page: &Page) -> String {
    String::from_utf8(request.document(&BucketName::parse("bkt").unwrap(), page, &owner())).unwrap()
}

#[test]
fn parameters() {
    let all = request(
        "list-type=2&prefix=a%2Fb&delimiter=/&max-keys=5&start-after=x&encoding-type=url&fetch-owner=true",
    );
    assert_eq!(
        all.unwrap(),
        ListRequest {
            form: Form::V2 { continuation: None, start_after: Some("x".into()) },
            prefix: "a/b".into(),
            delimiter: Some("/".into()),
            max_keys: 5,
            url_encoded: true,
            owner: true,
            restore_status: false,
        }
    );
    assert_eq!(request("max-keys=2000").unwrap().max_keys, 1000);
    assert_eq!(request("max-keys=0").unwrap().max_keys, 0);
    assert_eq!(request("delimiter=").unwrap().delimiter, None);
    assert!(request("").unwrap().owner && !request("list-type=2").unwrap().owner);
    for query in [
        "max-keys=-1",
        "max-keys=x",
        "max-keys=2147483648",
        "encoding-type=x",
        "list-type=2&continuation-token=",
    ] {
        assert_eq!(request(query).unwrap_err().code, Code::InvalidArgument, "{query}");
    }
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-optional-object-attributes", "Owner".parse().unwrap());
    let error = ListRequest::parse(&Query::default(), &headers).unwrap_err();
    assert_eq!(error.message, "Invalid attribute name specified");
}

#[test]
fn a_second_form_page_is_exact() {
    let request =
        ListRequest { restore_status: true, ..request("list-type=2&delimiter=/&encoding-type=url").unwrap() };
    let page =
        Page { objects: vec![object("a b+")], common_prefixes: vec!["c/".into()], next: Some("T".into()) };
    assert_eq!(
        document(&request, &page),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bkt</Name><Prefix></Prefix>\
         <NextContinuationToken>T</NextContinuationToken><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>\
         <Delimiter>/</Delimiter><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>\
         <Contents><Key>a%20b%2B</Key><LastModified>2012-12-21T00:00:00.000Z</LastModified>\
         <ETag>&quot;abc&quot;</ETag><ChecksumAlgorithm>CRC32</ChecksumAlgorithm><Size>3</Size>\
         <StorageClass>GLACIER</StorageClass>\
         <RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
         <RestoreExpiryDate>2012-12-21T00:00:00.000Z</RestoreExpiryDate></RestoreStatus></Contents>\
         <CommonPrefixes><Prefix>c/</Prefix></CommonPrefixes></ListBucketResult>"
    );
}

#[test]
fn a_first_form_page_has_markers_and_owners() {
    let page = Page { objects: vec![object("a")], common_prefixes: vec![], next: Some("a".into()) };
    let plain = document(&request("marker=0").unwrap(), &page);
    assert!(plain.contains("<Marker>0</Marker><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>"));
    assert!(plain.contains("<Owner><ID>id</ID><DisplayName>name</DisplayName></Owner><StorageClass>"));
    assert!(!plain.contains("RestoreStatus"));
    assert!(document(&request("delimiter=/").unwrap(), &page).contains("<NextMarker>a</NextMarker>"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_key_is_read_back(key in "[\\PC \t]{1,60}", url in any::<bool>()) {
        let request = ListRequest { url_encoded: url, ..request("list-type=2").unwrap() };
        let page = Page { objects: vec![object(&key)], common_prefixes: vec![], next: None };
        let text = document(&request, &page);
        let root = xml::read(text.as_bytes(), "ListBucketResult", text.len()).unwrap();
        let read = root.child("Contents").unwrap().child("Key").unwrap().exact().unwrap().to_owned();
        let read = if url { percent_encoding::percent_decode_str(&read).decode_utf8().unwrap().into_owned() } else { read };
        prop_assert_eq!(read, key);
    }
}
