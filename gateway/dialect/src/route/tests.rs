#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

fn ask(method: &str, target: &str, copies: bool) -> Result<Route> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    if copies {
        headers.insert("x-amz-copy-source", HeaderValue::from_static("/b/k"));
    }
    route(&Method::from_bytes(method.as_bytes()).unwrap(), path, query, &headers)
}

#[test]
fn operations_are_told_apart() {
    use Operation as O;
    for (method, target, expected) in [
        ("GET", "/", O::ListBuckets),
        ("GET", "/?x-id=ListBuckets", O::ListBuckets),
        ("GET", "/bkt", O::ListObjects),
        ("GET", "/bkt/?prefix=a&delimiter=%2F&marker=", O::ListObjects),
        ("GET", "/bkt?list-type=2&prefix=&fetch-owner=true", O::ListObjectsV2),
        ("GET", "/bkt?versions", O::ListObjectVersions),
        ("HEAD", "/bkt", O::HeadBucket),
        ("PUT", "/bkt/", O::CreateBucket),
        ("PUT", "/bkt/?lifecycle=", O::PutBucketLifecycleConfiguration),
        ("GET", "/bkt?lifecycle", O::GetBucketLifecycleConfiguration),
        ("DELETE", "/bkt?lifecycle", O::DeleteBucketLifecycle),
        ("POST", "/bkt?delete=", O::DeleteObjects),
        ("POST", "/bkt", O::PostObject),
        ("GET", "/bkt?analytics", O::ListBucketAnalyticsConfigurations),
        ("GET", "/bkt?analytics&id=1", O::GetBucketAnalyticsConfiguration),
        ("GET", "/bkt/k?partNumber=1&versionId=v", O::GetObject),
        ("GET", "/bkt/k?response-content-type=text%2Fplain&X-Amz-Signature=0", O::GetObject),
        ("GET", "/bkt/k?AWSAccessKeyId=a&Signature=b&Expires=1", O::GetObject),
        ("GET", "/bkt/k?x-amz-user-agent=sdk&X-AMZ-DATE=1", O::GetObject),
        ("HEAD", "/bkt/k", O::HeadObject),
        ("PUT", "/bkt/k?x-id=PutObject", O::PutObject),
        ("PUT", "/bkt/k?partNumber=1&uploadId=u", O::UploadPart),
        ("GET", "/bkt/k?uploadId=u&max-parts=2", O::ListParts),
        ("POST", "/bkt/k?uploads=", O::CreateMultipartUpload),
        ("POST", "/bkt/k?uploadId=u", O::CompleteMultipartUpload),
        ("DELETE", "/bkt/k?uploadId=u", O::AbortMultipartUpload),
        ("DELETE", "/bkt/k?versionId=v", O::DeleteObject),
        ("POST", "/bkt/k?restore", O::RestoreObject),
        ("POST", "/bkt/k?restore=&versionId=v&x-id=RestoreObject", O::RestoreObject),
        ("POST", "/bkt/k?select&select-type=2", O::SelectObjectContent),
        ("OPTIONS", "/bkt/k?restore", O::Preflight),
    ] {
        assert_eq!(ask(method, target, false).unwrap().operation, expected, "{method} {target}");
    }
    assert_eq!(ask("PUT", "/bkt/k", true).unwrap().operation, O::CopyObject);
    assert_eq!(ask("PUT", "/bkt/k?partNumber=1&uploadId=u", true).unwrap().operation, O::UploadPartCopy);
    assert_eq!(ask("PUT", "/bkt/k?acl", true).unwrap().operation, O::PutObjectAcl);
}

#[test]
fn what_is_not_understood_is_never_a_plainer_operation() {
    for (method, target) in [
        ("DELETE", "/bkt?unheard-of"),
        ("PUT", "/bkt?x"),
        ("GET", "/bkt?usage"),
        ("DELETE", "/bkt/k?x"),
        ("PUT", "/bkt/k?partNumber=1"),
        ("PUT", "/bkt/k?versionId=v"),
        ("POST", "/bkt/k?restore&uploads"),
        ("GET", "/bkt/k?lifecycle"),
        ("PUT", "/bkt/k?x-amz-meta-tapegate=v1"),
        ("PUT", "/bkt/k?X-Amz-Copy-Source=b%2Fk"),
        ("PUT", "/bkt/k?x-amz-storage-class=GLACIER"),
    ] {
        assert_eq!(ask(method, target, false).unwrap().operation, Operation::Unknown, "{method} {target}");
    }
}

#[test]
fn known_sub_resources_refuse_other_methods() {
    for (method, target, resource, allow) in [
        ("DELETE", "/bkt?notification", "NOTIFICATION", "GET, PUT"),
        ("POST", "/bkt?lifecycle", "LIFECYCLE", "GET, PUT, DELETE"),
        ("GET", "/bkt/k?restore", "RESTORE", "POST"),
        ("DELETE", "/bkt?uploads", "UPLOADS", "GET"),
        ("POST", "/bkt/k", "OBJECT", "GET, HEAD, PUT, DELETE"),
        ("PATCH", "/bkt", "BUCKET", "GET, HEAD, PUT, DELETE, POST"),
        ("PUT", "/", "SERVICE", "GET"),
    ] {
        let error = ask(method, target, false).unwrap_err();
        let mut expected = S3Error::method_not_allowed(method, resource);
        expected = expected.header("allow", HeaderValue::from_static(allow));
        assert_eq!(error, expected, "{method} {target}");
    }
}

#[test]
fn keys_are_kept_exactly() {
    for (path, key) in [
        ("/bkt//", "/"),
        ("/bkt//a//b", "/a//b"),
        ("/bkt/a/../b", "a/../b"),
        ("/bkt/a%20b+c%2B%25", "a b+c+%"),
        ("/bkt/%C3%A9/", "\u{e9}/"),
        ("/bkt/a%2Fb", "a/b"),
    ] {
        assert_eq!(ask("GET", path, false).unwrap().key.unwrap().as_str(), key, "{path}");
    }
    let longest = format!("/bkt/{}", "%C3%A9".repeat(512));
    assert_eq!(ask("GET", &longest, false).unwrap().key.unwrap().as_str().len(), 1024);
}

#[test]
fn bad_targets_have_their_codes() {
    for (target, code) in [
        (format!("/bkt/{}", "a".repeat(1025)), Code::KeyTooLongError),
        ("/bkt/%zz".to_owned(), Code::InvalidURI),
        ("/bkt/%f".to_owned(), Code::InvalidURI),
        ("/bkt/%FF".to_owned(), Code::InvalidURI),
        ("/bkt?prefix=%FF".to_owned(), Code::InvalidURI),
        ("bkt".to_owned(), Code::InvalidURI),
        ("//k".to_owned(), Code::InvalidBucketName),
        ("/B/k".to_owned(), Code::InvalidBucketName),
        ("/bkt?list-type=1".to_owned(), Code::InvalidArgument),
        ("/bkt/k?versionId=a&versionId=b".to_owned(), Code::InvalidArgument),
        ("/bkt?prefix=a&pre%66ix=b".to_owned(), Code::InvalidArgument),
        (format!("/bkt/{}", "a".repeat(TARGET_BYTES_MAX)), Code::InvalidURI),
    ] {
        assert_eq!(ask("GET", &target, false).unwrap_err().code, code, "{target}");
    }
}

#[test]
fn every_row_is_reached_by_its_own_request() {
    for row in ROWS {
        let path = match row.level {
            Level::Service => "/",
            Level::Bucket => "/bkt",
            Level::Object => "/bkt/k",
        };
        let value = |name: &str| {
            if name == "list-type" { format!("{name}=2") } else { format!("{name}=1") }
        };
        let query: Vec<String> = row.selectors.iter().map(|name| value(name)).collect();
        let target = format!("{path}?{}", query.join("&"));
        let route = ask(row.method, &target, row.copies() == Some(true)).unwrap();
        assert_eq!(route.operation, row.operation, "{target}");
    }
}

#[test]
fn presigned_headers_and_overrides_are_found() {
    let raw = "X-Amz-Signature=0&X-Amz-Date=1&X-Amz-Storage-Class=GLACIER&response-content-type=text%2Fplain";
    let query = Query::parse(raw).unwrap();
    let hoisted: Vec<_> = query.hoisted().collect();
    assert_eq!(hoisted, [("x-amz-storage-class".to_owned(), "GLACIER")]);
    assert_eq!(query.overrides().collect::<Vec<_>>(), [("content-type", "text/plain")]);
    assert_eq!(ask("GET", "/bkt/k?response-unheard=1", false).unwrap().operation, Operation::Unknown);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_target_is_survived(path in "[/a-c%0-9\\PC]{0,40}", query in "[&=%+a-c\\PC]{0,40}") {
        let _outcome = route(&Method::GET, &path, &query, &HeaderMap::new());
    }
}
