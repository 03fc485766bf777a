//! Presigned URLs.

use super::{by_key, code, now, parts, refusal, signer, verify, verify_at};
use crate::sigv4::{Payload, SignError};
use http::{HeaderMap, Method};

const EXAMPLE: &str = "https://examplebucket.s3.amazonaws.com/test.txt";

fn presigned(seconds: i64) -> String {
    signer().presign(&Method::GET, &EXAMPLE.parse().unwrap(), &HeaderMap::new(), seconds, now()).unwrap()
}

const HOST: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

#[test]
fn the_published_example_signs_and_verifies() {
    let url = presigned(86400);
    let signature = "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(url.ends_with(&format!("&X-Amz-Signature={signature}")), "{url}");
    let verdict = verify(&parts(Method::GET, &url, &[HOST])).unwrap();
    assert_eq!(verdict.caller, by_key(true));
    assert!(matches!(verdict.payload, Payload::Unsigned));
    let head = verify(&parts(Method::HEAD, &url, &[HOST]));
    assert_eq!(code(head), "SignatureDoesNotMatch");
}

#[test]
fn a_url_lives_from_its_date_to_its_end() {
    let request = parts(Method::GET, &presigned(60), &[HOST]);
    verify_at(&request, now().plus_milliseconds(60_000)).unwrap();
    verify_at(&request, now().plus_milliseconds(-900_000)).unwrap();
    let late = verify_at(&request, now().plus_milliseconds(60_001)).unwrap_err();
    assert_eq!((late.code().as_str(), late.to_string().as_str()), ("AccessDenied", "Request has expired"));
    assert_eq!(
        late.extras(),
        [
            ("X-Amz-Expires", "60".to_owned()),
            ("Expires", "2013-05-24T00:01:00Z".to_owned()),
            ("ServerTime", "2013-05-24T00:01:00Z".to_owned())
        ]
    );
    assert_eq!(code(verify_at(&request, now().plus_milliseconds(-900_001))), "AccessDenied");
    let refused =
        signer().presign(&Method::GET, &EXAMPLE.parse().unwrap(), &HeaderMap::new(), 604_801, now());
    assert_eq!(refused, Err(SignError::Lifetime { seconds: 604_801 }));
}

#[test]
fn parameters_must_be_whole() {
    let check = |from: &str, to: &str| {
        let url = presigned(60);
        assert!(url.contains(from), "{url} has no {from}");
        refusal(verify(&parts(Method::GET, &url.replace(from, to), &[HOST])))
    };
    let incomplete = "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.";
    for name in ["Algorithm", "Credential", "Signature", "Date", "SignedHeaders", "Expires"] {
        let (name, other) = (format!("X-Amz-{name}="), format!("X-Amz-Other{name}="));
        assert_eq!(
            check(&name, &other),
            ("AuthorizationQueryParametersError".into(), incomplete.into()),
            "{name}"
        );
    }
    let cases = [
        (
            "Expires=60",
            "Expires=604801",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        ),
        (
            "Expires=60",
            "Expires=99999999999999999999",
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds",
        ),
        ("Expires=60", "Expires=-1", "X-Amz-Expires must be non-negative"),
        ("Expires=60", "Expires=0", "X-Amz-Expires must be at least 1 second"),
        ("Expires=60", "Expires=1e3", "X-Amz-Expires should be a number"),
        ("Expires=60", "Expires=60&X-Amz-Expires=61", incomplete),
        ("=AWS4-HMAC-SHA256", "=AWS5", "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\""),
        (
            "us-east-1",
            "mars",
            "Error parsing the X-Amz-Credential parameter; the region 'mars' is wrong; expecting 'us-east-1'",
        ),
    ];
    for (from, to, text) in cases {
        assert_eq!(check(from, to), ("AuthorizationQueryParametersError".into(), text.into()));
    }
    assert_eq!(check("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256").0, "InvalidRequest");
}

#[test]
fn headers_cannot_be_added_nor_mechanisms_mixed() {
    let url = presigned(60);
    let added = verify(&parts(Method::GET, &url, &[HOST, ("x-amz-acl", "public-read")]));
    assert_eq!(code(added), "AccessDenied");
    let streaming = [HOST, ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")];
    assert_eq!(code(verify(&parts(Method::GET, &url, &streaming))), "InvalidArgument");
    let both = [HOST, ("authorization", "AWS4-HMAC-SHA256 Credential=a")];
    assert_eq!(code(verify(&parts(Method::GET, &url, &both))), "InvalidArgument");
    let version2 = verify(&parts(Method::GET, &format!("{url}&AWSAccessKeyId=a"), &[HOST]));
    assert_eq!(code(version2), "InvalidArgument");
}

#[test]
fn headers_signed_into_the_url_must_be_sent() {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-storage-class", "GLACIER".parse().unwrap());
    let uri = "http://127.0.0.1:9000/b/a%20b+c?versionId=null&restore".parse().unwrap();
    let url = signer().presign(&Method::PUT, &uri, &headers, 60, now()).unwrap();
    let host = ("host", "127.0.0.1:9000");
    verify(&parts(Method::PUT, &url, &[host, ("x-amz-storage-class", "GLACIER")])).unwrap();
    let other = verify(&parts(Method::PUT, &url, &[host, ("x-amz-storage-class", "STANDARD")]));
    assert_eq!(code(other), "SignatureDoesNotMatch");
    assert_eq!(code(verify(&parts(Method::PUT, &url, &[host]))), "SignatureDoesNotMatch");
}
