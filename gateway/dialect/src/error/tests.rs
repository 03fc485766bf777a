#![allow(clippy::unwrap_used)]
use super::*;

fn check(error: &S3Error, status: u16, inner: &str) {
    let document = String::from_utf8(error.document("ID", "HOST")).unwrap();
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>{inner}<RequestId>ID</RequestId><HostId>HOST</HostId></Error>"
    );
    assert_eq!(document, expected);
    assert_eq!(error.status().as_u16(), status);
}

#[test]
fn documents_are_exact() {
    check(
        &S3Error::archived("GLACIER"),
        403,
        "<Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage class</Message>\
         <StorageClass>GLACIER</StorageClass>",
    );
    check(
        &S3Error::archived_source("DEEP_ARCHIVE"),
        403,
        "<Code>InvalidObjectState</Code><Message>Operation is not valid for the source object's storage class</Message>\
         <StorageClass>DEEP_ARCHIVE</StorageClass>",
    );
    check(
        &S3Error::not_restorable("STANDARD"),
        403,
        "<Code>InvalidObjectState</Code><Message>Restore is not allowed for the object's current storage class</Message>\
         <StorageClass>STANDARD</StorageClass>",
    );
    check(
        &S3Error::no_such_key("a&b<\"c\">\u{1}"),
        404,
        "<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>\
         <Key>a&amp;b&lt;&quot;c&quot;&gt;&#x1;</Key>",
    );
    check(
        &Code::RestoreAlreadyInProgress.into(),
        409,
        "<Code>RestoreAlreadyInProgress</Code><Message>Object restore is already in progress</Message>",
    );
    check(
        &S3Error::argument("'Date' must be at midnight GMT", "Date", "2030-01-01T01:00:00Z"),
        400,
        "<Code>InvalidArgument</Code><Message>'Date' must be at midnight GMT</Message>\
         <ArgumentName>Date</ArgumentName><ArgumentValue>2030-01-01T01:00:00Z</ArgumentValue>",
    );
    check(
        &S3Error::method_not_allowed("POST", "DeleteMarker"),
        405,
        "<Code>MethodNotAllowed</Code><Message>The specified method is not allowed against this resource.</Message>\
         <Method>POST</Method><ResourceType>DeleteMarker</ResourceType>",
    );
}

#[test]
fn an_unsatisfiable_range_says_the_size() {
    let error = S3Error::invalid_range("bytes=9-", 5);
    assert_eq!(error.status().as_u16(), 416);
    assert_eq!(error.headers[0].1, "bytes */5");
}

#[test]
fn codes_are_found_by_name() {
    for &code in Code::ALL {
        assert_eq!(Code::parse(code.as_str()), Some(code));
        assert!(code.status().is_client_error() || code.status().is_server_error(), "{code}");
    }
    assert_eq!(Code::parse("NoSuchThing"), None);
}

#[test]
fn echoed_values_are_bounded() {
    let error = S3Error::no_such_key(&"é".repeat(EXTRA_BYTES_MAX));
    assert!(error.extras[0].1.len() <= EXTRA_BYTES_MAX);
}

#[test]
fn a_refused_body_keeps_its_words() {
    let refused =
        |code| BodyError::Refused { code, message: "M".into(), extras: vec![("A", "1".to_owned())] };
    let error = S3Error::from(&refused("BadDigest"));
    assert_eq!(error, S3Error::with_message(Code::BadDigest, "M").extra("A", "1"));
    assert_eq!(S3Error::from(&refused("Nonsense")).code, Code::InternalError);
    let broken = BodyError::Broken(std::io::Error::other("gone"));
    assert_eq!(S3Error::from(&broken).code, Code::IncompleteBody);
}
