#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod hostile;
mod presign;
mod recorded;
mod suite;

use super::{
    AmzDate, AuthError, Caller, Payload, PayloadToken, RequestView, Secret, Signer, Verdict, Verifier,
};
use crate::error::S3Error;
use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;
use http::{Method, Request};
use model::Timestamp;

const KEY_ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const EMPTY: PayloadToken = PayloadToken::Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// Target, headers, signature.
type Example = (&'static str, &'static [(&'static str, &'static str)], &'static str);

fn now() -> Timestamp {
    AmzDate::parse("20130524T000000Z").unwrap().timestamp()
}

fn signer() -> Signer {
    Signer::new(KEY_ID, Secret::new(SECRET), "us-east-1")
}

fn parts(method: Method, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let request =
        headers.iter().fold(Request::builder().method(method).uri(uri), |request, (name, value)| {
            request.header(*name, *value)
        });
    request.body(()).unwrap().into_parts().0
}

/// A signed GET of `/test.txt`, the published example.
fn signed() -> Parts {
    let mut parts =
        parts(Method::GET, "https://examplebucket.s3.amazonaws.com/test.txt", &[("range", "bytes=0-9")]);
    signer().sign(&mut parts, &EMPTY, now()).unwrap();
    parts
}

fn verify_at(parts: &Parts, now: Timestamp) -> Result<Verdict, AuthError> {
    let secret_of = |id: &str| (id == KEY_ID).then(|| Secret::new(SECRET));
    Verifier::new("us-east-1").verify(&RequestView::of_parts(parts), now, secret_of)
}

fn verify(parts: &Parts) -> Result<Verdict, AuthError> {
    verify_at(parts, now())
}

/// Code and Message of a refusal, and that it is 1:1 an S3 error.
fn refusal(result: Result<Verdict, AuthError>) -> (String, String) {
    let error = result.unwrap_err();
    let s3 = S3Error::from(error.clone());
    assert_eq!(s3.extras.len(), error.extras().len());
    (s3.code.as_str().to_owned(), s3.message.into_owned())
}

fn code(result: Result<Verdict, AuthError>) -> String {
    refusal(result).0
}

fn by_key(presigned: bool) -> Caller {
    Caller::Key { access_key_id: KEY_ID.into(), presigned }
}

fn edit_authorization(parts: &mut Parts, from: &str, to: &str) {
    let text = parts.headers[AUTHORIZATION].to_str().unwrap();
    assert!(text.contains(from), "{text} has no {from}");
    let edited = text.replace(from, to);
    parts.headers.insert(AUTHORIZATION, HeaderValue::from_str(&edited).unwrap());
}

#[test]
fn published_examples_of_s3_sign_and_verify() {
    let cases: [Example; 3] = [
        (
            "/test.txt",
            &[("range", "bytes=0-9")],
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        ("/?lifecycle", &[], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", &[], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ];
    for (target, headers, signature) in cases {
        let uri = format!("https://examplebucket.s3.amazonaws.com{target}");
        let mut parts = parts(Method::GET, &uri, headers);
        signer().sign(&mut parts, &EMPTY, now()).unwrap();
        let authorization = parts.headers[AUTHORIZATION].to_str().unwrap();
        assert!(authorization.ends_with(&format!("Signature={signature}")), "{target}: {authorization}");
        let verdict = verify(&parts).unwrap();
        assert_eq!(verdict.caller, by_key(false));
        assert!(matches!(verdict.payload, Payload::Hash(_)));
    }
}

#[test]
fn altering_anything_signed_is_noticed() {
    let mut other = signed();
    other.method = Method::HEAD;
    assert_eq!(code(verify(&other)), "SignatureDoesNotMatch");
    for uri in ["https://h/test.txt?x", "https://h/Test.txt", "https://h//test.txt", "https://h/test.txt/"] {
        let mut other = signed();
        other.uri = uri.parse().unwrap();
        assert_eq!(code(verify(&other)), "SignatureDoesNotMatch", "{uri}");
    }
    for header in ["range", "host"] {
        let mut other = signed();
        other.headers.insert(header, "bytes=0-8".parse().unwrap());
        assert_eq!(code(verify(&other)), "SignatureDoesNotMatch", "{header}");
        other.headers.remove(header);
        assert_eq!(code(verify(&other)), "SignatureDoesNotMatch", "{header}");
    }
    let mut other = signed();
    other.headers.append("range", "bytes=0-9".parse().unwrap());
    assert_eq!(code(verify(&other)), "SignatureDoesNotMatch");
}

#[test]
fn a_mismatch_explains_itself() {
    let mut other = signed();
    other.headers.insert("range", "bytes=1-2".parse().unwrap());
    let error = verify(&other).unwrap_err();
    let extras = error.extras();
    let names: Vec<&str> = extras.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "AWSAccessKeyId",
            "StringToSign",
            "SignatureProvided",
            "StringToSignBytes",
            "CanonicalRequest",
            "CanonicalRequestBytes"
        ]
    );
    assert_eq!(extras[0].1, KEY_ID);
    assert!(
        extras[1].1.starts_with("AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n")
    );
    assert!(extras[3].1.starts_with("41 57 53 34 2d"));
    assert!(extras[4].1.contains("\nrange:bytes=1-2\n"));
    assert!(!format!("{error:?}").contains(SECRET));
}

#[test]
fn amz_headers_and_host_must_be_signed() {
    let mut other = signed();
    other.headers.insert("x-amz-meta-tapegate", "x".parse().unwrap());
    other.headers.insert("x-amz-acl", "public-read".parse().unwrap());
    let error = verify(&other).unwrap_err();
    assert_eq!(error.code().as_str(), "AccessDenied");
    assert_eq!(error.extras(), [("HeadersNotSigned", "x-amz-acl, x-amz-meta-tapegate".to_owned())]);
    let mut hostless = signed();
    edit_authorization(&mut hostless, "SignedHeaders=host;", "SignedHeaders=");
    assert_eq!(verify(&hostless).unwrap_err().extras(), [("HeadersNotSigned", "host".to_owned())]);
    let mut traced = signed();
    traced.headers.insert("x-amzn-trace-id", "Root=1".parse().unwrap());
    traced.headers.insert("content-type", "text/plain".parse().unwrap());
    verify(&traced).unwrap();
}

#[test]
fn scope_must_be_this_endpoint_on_that_day() {
    let cases = [
        ("us-east-1", "eu-west-1", "the region 'eu-west-1' is wrong; expecting 'us-east-1'"),
        ("/s3/", "/ec2/", "incorrect service \"ec2\". This endpoint belongs to \"s3\"."),
        ("aws4_request", "aws5", "incorrect terminator. This endpoint uses \"aws4_request\"."),
        (
            "/20130524/",
            "/20130523/",
            "Invalid credential date \"20130523\". This date is not the same as X-Amz-Date: \"20130524\".",
        ),
    ];
    for (from, to, reason) in cases {
        let mut other = signed();
        edit_authorization(&mut other, from, to);
        let text = format!("The authorization header is malformed; {reason}");
        assert_eq!(refusal(verify(&other)), ("AuthorizationHeaderMalformed".into(), text));
    }
    let mut other = signed();
    edit_authorization(&mut other, "us-east-1", "mars");
    assert_eq!(verify(&other).unwrap_err().extras(), [("Region", "us-east-1".to_owned())]);
}

#[test]
fn clocks_may_differ_by_fifteen_minutes() {
    let skew = 15 * 60 * 1000;
    for good in [-skew, 0, skew] {
        verify_at(&signed(), now().plus_milliseconds(good)).unwrap();
    }
    for bad in [-skew - 1, skew + 1] {
        let error = verify_at(&signed(), now().plus_milliseconds(bad)).unwrap_err();
        assert_eq!(error.code().as_str(), "RequestTimeTooSkewed");
        assert_eq!(error.extras()[2], ("MaxAllowedSkewMilliseconds", "900000".to_owned()));
    }
}

#[test]
fn the_date_header_serves_when_there_is_no_other() {
    let mut undated = signed();
    undated.headers.remove("x-amz-date");
    assert_eq!(code(verify(&undated)), "AccessDenied");
    undated.headers.insert("date", "Fri, 24 May 2013 00:00:00 GMT".parse().unwrap());
    // It is read, but the signature was made over x-amz-date.
    assert_eq!(code(verify(&undated)), "SignatureDoesNotMatch");
}

#[test]
fn what_cannot_be_verified_is_refused_and_never_anonymous() {
    let with = |authorization: &str| {
        let mut parts = signed();
        parts.headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        code(verify(&parts))
    };
    assert_eq!(with("AWS AKID:c2ln"), "InvalidRequest");
    assert_eq!(with("AWS4-ECDSA-P256-SHA256 Credential=a"), "InvalidRequest");
    assert_eq!(with("Bearer token"), "InvalidArgument");
    assert_eq!(with(""), "InvalidArgument");
    for fields in
        ["", " ", " Credential=a", " Credential=/b/c/d, SignedHeaders=host, Signature=x", " nonsense"]
    {
        assert_eq!(with(&format!("AWS4-HMAC-SHA256{fields}")), "AuthorizationHeaderMalformed", "{fields}");
    }
    let mut twice = signed();
    twice.headers.append(AUTHORIZATION, twice.headers[AUTHORIZATION].clone());
    assert_eq!(code(verify(&twice)), "InvalidArgument");
    let mut hosts = signed();
    hosts.headers.append("host", "examplebucket.s3.amazonaws.com".parse().unwrap());
    assert_eq!(code(verify(&hosts)), "InvalidRequest");
    let mut token = signed();
    token.headers.insert("x-amz-security-token", "t".parse().unwrap());
    assert_eq!(code(verify(&token)), "InvalidToken");
    for query in ["?Signature=x", "?signature=x", "?AWSAccessKeyId=a&Signature=b&Expires=1"] {
        let v2 = parts(Method::GET, &format!("https://h/k{query}"), &[]);
        assert_eq!(code(verify(&v2)), "InvalidRequest");
    }
    for name in
        ["x-amz-signature", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Date", "X-Amz-Security-Token"]
    {
        let partial = parts(Method::GET, &format!("https://h/k?{name}=a"), &[]);
        assert_eq!(code(verify(&partial)), "AuthorizationQueryParametersError", "{name}");
    }
    let unknown = Verifier::new("us-east-1").verify(&RequestView::of_parts(&signed()), now(), |_| None);
    assert_eq!(code(unknown), "InvalidAccessKeyId");
    let mut huge = signed();
    huge.headers.insert("x", "a".repeat(super::REQUEST_HEAD_BYTES_MAX).parse().unwrap());
    assert_eq!(code(verify(&huge)), "RequestHeaderSectionTooLarge");
}

#[test]
fn a_changed_secret_takes_effect_at_once() {
    let (verifier, parts) = (Verifier::new("us-east-1"), signed());
    let verify =
        |secret: &str| verifier.verify(&RequestView::of_parts(&parts), now(), |_| Some(Secret::new(secret)));
    verify(SECRET).unwrap();
    assert_eq!(code(verify("another")), "SignatureDoesNotMatch");
    verify(SECRET).unwrap();
}

#[test]
fn payload_tokens() {
    let mut without = signed();
    without.headers.remove("x-amz-content-sha256");
    let missing =
        ("InvalidRequest".into(), "Missing required header for this request: x-amz-content-sha256".into());
    assert_eq!(refusal(verify(&without)), missing);
    let mut wrong = signed();
    wrong.headers.insert("x-amz-content-sha256", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD".parse().unwrap());
    assert_eq!(code(verify(&wrong)), "InvalidArgument");
    for token in [
        PayloadToken::Unsigned,
        PayloadToken::StreamingUnsignedTrailer,
        PayloadToken::StreamingSigned { trailer: false },
        PayloadToken::StreamingSigned { trailer: true },
    ] {
        assert_eq!(PayloadToken::parse(&token.to_string()), Some(token));
        let mut parts = parts(Method::PUT, "http://h/b/k", &[]);
        signer().sign(&mut parts, &token, now()).unwrap();
        let payload = verify(&parts).unwrap().payload;
        let same = match (token, &payload) {
            (PayloadToken::Unsigned, Payload::Unsigned) => true,
            (PayloadToken::StreamingUnsignedTrailer, Payload::StreamingUnsignedTrailer) => true,
            (PayloadToken::StreamingSigned { trailer: asked }, Payload::StreamingSigned { trailer, .. }) => {
                asked == *trailer
            }
            _ => false,
        };
        assert!(same, "{token} became {payload:?}");
    }
}

#[test]
fn a_request_that_claims_nothing_is_anonymous() {
    let check =
        |headers: &[(&str, &str)]| verify(&parts(Method::PUT, "http://h/b/k?x-id=PutObject", headers));
    let plain = check(&[]).unwrap();
    assert!(matches!((plain.caller, plain.payload), (Caller::Anonymous, Payload::Unsigned)));
    let chunked = check(&[("content-encoding", "gzip, aws-chunked")]).unwrap();
    assert!(matches!(chunked.payload, Payload::StreamingUnsignedTrailer));
    assert_eq!(
        code(check(&[("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")])),
        "InvalidArgument"
    );
}

#[test]
fn what_is_signed_is_sent_in_its_canonical_spelling() {
    let target = "http://h:9000/b/a+b(c)%7e%e1//x?prefix=(&list-type=2";
    let mut sent = parts(Method::GET, target, &[]);
    signer().sign(&mut sent, &EMPTY, now()).unwrap();
    assert_eq!(sent.uri.to_string(), "http://h:9000/b/a%2Bb%28c%29~%E1//x?prefix=(&list-type=2");
    assert_eq!(verify(&sent).unwrap().caller, by_key(false));
    let mut star = parts(Method::OPTIONS, "*", &[("host", "h")]);
    signer().sign(&mut star, &EMPTY, now()).unwrap();
    assert_eq!(star.uri, "*");
}

#[test]
fn paths_are_tried_decoded_first_and_raw_only_when_they_are_raw() {
    use super::canonical::paths;
    let cases = [
        ("/a%20b", "/a%20b", None),
        ("/a%e1b", "/a%E1b", None),
        ("/a%7Eb", "/a~b", None),
        ("/a+b(c):d", "/a%2Bb%28c%29%3Ad", Some("/a+b(c):d")),
        ("//a/../b", "//a/../b", None),
        ("/a%2Fb", "/a/b", None),
        ("", "/", None),
        ("/100%", "/100%25", None),
    ];
    for (raw, first, second) in cases {
        assert_eq!(paths(raw), (first.into(), second), "{raw}");
    }
}
