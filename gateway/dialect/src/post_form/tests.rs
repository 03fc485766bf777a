#![allow(clippy::unwrap_used)]
use super::*;
use crate::sigv4::{AmzDate, Caller, Secret, Verifier};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::Timestamp;
use proptest::prelude::*;

/// The policy of the published example, as signed.
const POLICY: &str = "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3NmdWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMtd2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEyMjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7IngtYW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9";
const SIGNATURE_OF_POLICY: &str = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e";
const REDIRECT: &str = "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html";
const EXAMPLE: [(&str, &str); 12] = [
    ("key", "user/user1/${filename}"),
    ("acl", "public-read"),
    ("success_action_redirect", REDIRECT),
    ("Content-Type", "image/jpeg"),
    ("x-amz-meta-uuid", "14365123651274"),
    ("x-amz-server-side-encryption", "AES256"),
    ("X-Amz-Credential", "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"),
    ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
    ("X-Amz-Date", "20151229T000000Z"),
    ("x-amz-meta-tag", ""),
    ("Policy", POLICY),
    ("X-Amz-Signature", SIGNATURE_OF_POLICY),
];

fn now() -> Timestamp {
    AmzDate::parse("20151229T120000Z").unwrap().timestamp()
}

fn bucket() -> BucketName {
    BucketName::parse("sigv4examplebucket").unwrap()
}

/// A form as browsers write it.
fn encode(fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.extend(
            format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
        );
    }
    out.extend(
        b"--X\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a \\\"b\\\".jpg\"\r\n",
    );
    out.extend(b"Content-Type: image/jpeg\r\n\r\n");
    out.extend(file);
    out.extend(b"\r\n--X\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nignored\r\n--X--\r\n");
    out
}

fn headers(content_type: &str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::CONTENT_TYPE, content_type.parse().unwrap())])
}

/// The form and the file, when the body comes in pieces of this size.
fn read(body: &[u8], size: usize) -> Result<(Option<Form>, Vec<u8>)> {
    let mut reader = FormReader::new(&headers("Multipart/Form-Data; charset=x; boundary=\"X\""))?;
    let (mut form, mut file) = (None, Vec::new());
    for piece in body.chunks(size) {
        let mut input = Bytes::copy_from_slice(piece);
        while let Some(piece) = reader.read(&mut input)? {
            match piece {
                Piece::Form(found) => assert!(form.replace(found).is_none()),
                Piece::File(bytes) => file.extend_from_slice(&bytes),
            }
        }
    }
    reader.finish()?;
    Ok((form, file))
}

fn form(fields: &[(&str, &str)]) -> Form {
    read(&encode(fields, b""), usize::MAX).unwrap().0.unwrap()
}

#[test]
fn the_published_form_is_read_verified_and_allowed() {
    for size in [1, 7, usize::MAX] {
        let (form, file) = read(&encode(&EXAMPLE, b"jpeg\r\n--Y\r\n-"), size).unwrap();
        let form = form.unwrap();
        assert_eq!(file, b"jpeg\r\n--Y\r\n-");
        assert_eq!(form.key().unwrap().as_str(), "user/user1/a \"b\".jpg");
        let claim = form.claim().unwrap().unwrap();
        let secret_of = |_: &str| Some(Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
        let caller = Verifier::new("us-east-1").verify_form(&claim, now(), secret_of).unwrap();
        assert_eq!(caller, Caller::Key { access_key_id: "AKIAIOSFODNN7EXAMPLE".into(), presigned: false });
        let range = Policy::parse(claim.policy).unwrap().check(&form, &bucket(), now()).unwrap();
        assert_eq!(range, LengthRange { least: 0, most: u64::MAX });
        let headers = form.headers().unwrap();
        let told: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        for header in [("x-amz-acl", "public-read"), ("content-type", "image/jpeg"), ("x-amz-meta-tag", "")] {
            assert!(told.contains(&header), "{told:?}");
        }
        assert_eq!(told.len(), 5, "{told:?}");
    }
}

#[test]
fn a_signature_holds_for_its_policy_key_scope_and_week() {
    let verify = |name: &str, value: &str, now: Timestamp| {
        let fields: Vec<_> =
            EXAMPLE.iter().map(|field| if field.0 == name { (name, value) } else { *field }).collect();
        let form = form(&fields);
        let secret_of = |id: &str| {
            (id == "AKIAIOSFODNN7EXAMPLE").then(|| Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
        };
        let claim = form.claim().unwrap().unwrap();
        let verdict = Verifier::new("us-east-1").verify_form(&claim, now, secret_of);
        verdict.map_or_else(|error| error.code().as_str(), |_| "ok")
    };
    let day = 86_400_000;
    assert_eq!(verify("none", "", now().plus_milliseconds(6 * day)), "ok");
    assert_eq!(verify("none", "", now().plus_milliseconds(7 * day)), "AccessDenied");
    assert_eq!(verify("none", "", now().plus_milliseconds(-day)), "AccessDenied");
    let other = POLICY.replacen('A', "B", 1);
    let credential = |scope: &str| format!("AKIAIOSFODNN7EXAMPLE/{scope}/aws4_request");
    for (name, value, code) in [
        ("Policy", other.as_str(), "SignatureDoesNotMatch"),
        ("X-Amz-Signature", &SIGNATURE_OF_POLICY.replace('8', "9"), "SignatureDoesNotMatch"),
        ("X-Amz-Algorithm", "AWS5", "AuthorizationQueryParametersError"),
        ("X-Amz-Credential", &credential("20151229/mars/s3"), "AuthorizationQueryParametersError"),
        ("X-Amz-Credential", &credential("20151228/us-east-1/s3"), "AuthorizationQueryParametersError"),
        ("X-Amz-Credential", "OTHER/20151229/us-east-1/s3/aws4_request", "InvalidAccessKeyId"),
        ("X-Amz-Date", "today", "AuthorizationQueryParametersError"),
    ] {
        assert_eq!(verify(name, value, now()), code, "{name} {value}");
    }
}

#[test]
fn a_form_that_claims_half_a_signature_is_not_anonymous() {
    assert!(form(&[("key", "k")]).claim().unwrap().is_none());
    for (name, code) in [
        ("policy", Code::InvalidArgument),
        ("x-amz-signature", Code::InvalidArgument),
        ("X-Amz-Date", Code::InvalidArgument),
        ("AWSAccessKeyId", Code::InvalidRequest),
        ("signature", Code::InvalidRequest),
        ("x-amz-security-token", Code::InvalidToken),
    ] {
        assert_eq!(form(&[("key", "k"), (name, "x")]).claim().unwrap_err().code, code, "{name}");
    }
}

#[test]
fn conditions() {
    let check = |conditions: &str, fields: &[(&str, &str)]| {
        let json = format!("{{\"expiration\":\"2015-12-30T12:00:00Z\",\"conditions\":[{conditions}]}}");
        let policy = Policy::parse(&STANDARD.encode(json))?;
        policy.check(&form(fields), &bucket(), now()).map(|range| (range.least, range.most))
    };
    let good = "{\"bucket\":\"sigv4examplebucket\"},[\"starts-with\",\"$key\",\"a/\"]";
    let key = ("key", "a/b");
    assert_eq!(check(good, &[key]), Ok((0, u64::MAX)));
    let ranged = format!("{good},[\"content-length-range\",1,\"20\"],[\"Content-Length-Range\",5,30]");
    assert_eq!(check(&ranged, &[key]), Ok((5, 20)));
    let list = format!("{good},[\"Starts-With\",\"$Content-Type\",\"image/\"]");
    assert!(check(&list, &[key, ("content-type", "image/a, image/b")]).is_ok());
    assert!(check(good, &[key, ("x-ignore-me", "1"), ("bucket", "sigv4examplebucket")]).is_ok());
    let failed = |what: &str| format!("Invalid according to Policy: Policy Condition failed: {what}");
    let extra = |what: &str| format!("Invalid according to Policy: Extra input fields: {what}");
    for (conditions, fields, message) in [
        (good, &[("key", "b")][..], failed("[\"starts-with\", \"$key\", \"a/\"]")),
        (&list, &[key], failed("[\"starts-with\", \"$content-type\", \"image/\"]")),
        (
            &list,
            &[key, ("content-type", "image/a,text/b")],
            failed("[\"starts-with\", \"$content-type\", \"image/\"]"),
        ),
        ("{\"bucket\":\"other\"}", &[key], failed("[\"eq\", \"$bucket\", \"other\"]")),
        (good, &[key, ("bucket", "other")], failed("[\"eq\", \"$bucket\", \"other\"]")),
        (good, &[key, ("acl", "private")], extra("acl")),
        ("{\"key\":\"a/b\"}", &[key], extra("bucket")),
        (good, &[key, ("x-amz-meta-tapegate", "v1")], extra("x-amz-meta-tapegate")),
    ] {
        let error = check(conditions, fields).unwrap_err();
        assert_eq!((error.code, error.message.as_ref()), (Code::AccessDenied, message.as_str()));
    }
    for conditions in [
        "1",
        "[\"eq\",\"key\",\"a\"]",
        "[\"eq\",\"$key\",1]",
        "[\"like\",\"$key\",\"\"]",
        "[\"content-length-range\",-1,2]",
        "[]",
    ] {
        assert_eq!(check(conditions, &[key]).unwrap_err().code, Code::InvalidPolicyDocument, "{conditions}");
    }
}

#[test]
fn policies_that_are_none() {
    let code = |json: &str| Policy::parse(&STANDARD.encode(json)).unwrap_err().code;
    for json in [
        "",
        "1",
        "{}",
        "{\"expiration\":\"soon\",\"conditions\":[]}",
        "{\"expiration\":\"2015-12-30T12:00:00Z\"}",
    ] {
        assert_eq!(code(json), Code::InvalidPolicyDocument, "{json}");
    }
    assert_eq!(code(&"[".repeat(15_000)), Code::InvalidPolicyDocument);
    assert_eq!(Policy::parse("%").unwrap_err().code, Code::InvalidPolicyDocument);
    let policy = Policy::parse(POLICY).unwrap();
    let late = policy.check(&form(&EXAMPLE), &bucket(), now().plus_milliseconds(2 * 86_400_000)).unwrap_err();
    assert_eq!(late.message, "Invalid according to Policy: Policy expired.");
}

#[test]
fn bodies_that_are_no_form() {
    let body = encode(&[("key", "k")], b"file");
    let code = |body: &[u8]| read(body, usize::MAX).unwrap_err().code;
    assert_eq!(code(b""), Code::MalformedPOSTRequest);
    assert_eq!(code(b"key=k&file=x"), Code::MalformedPOSTRequest);
    assert_eq!(code(&body[..body.len() / 2]), Code::MalformedPOSTRequest);
    assert_eq!(code(b"--X\r\nodd\r\n\r\n"), Code::MalformedPOSTRequest);
    assert_eq!(code(b"--X\r\n\r\nno name\r\n--X--\r\n"), Code::MalformedPOSTRequest);
    assert_eq!(code(b"--X--\r\n"), Code::InvalidArgument);
    let long = "v".repeat(FIELDS_BYTES_MAX);
    assert_eq!(code(&encode(&[("x-ignore", &long)], b"")), Code::MaxPostPreDataLengthExceededError);
    for (content_type, code) in [
        ("application/x-www-form-urlencoded", Code::PreconditionFailed),
        ("multipart/mixed; boundary=X", Code::PreconditionFailed),
        ("multipart/form-data", Code::MalformedPOSTRequest),
        ("multipart/form-data; boundary=", Code::MalformedPOSTRequest),
        ("multipart/form-data; boundary=\"X", Code::MalformedPOSTRequest),
    ] {
        assert_eq!(FormReader::new(&headers(content_type)).unwrap_err().code, code, "{content_type}");
    }
}

#[test]
fn fields_become_a_put() {
    let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag></TagSet></Tagging>";
    let form = form(&[
        ("KEY", "k"),
        ("tagging", tags),
        ("x-amz-storage-class", "GLACIER"),
        ("x-amz-copy-source", "b/k"),
        ("x-amz-meta-m", "1"),
        ("X-Amz-Meta-M", "2"),
        ("odd", "x"),
    ]);
    let headers = form.headers().unwrap();
    let told: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for header in [("x-amz-tagging", "a=1"), ("x-amz-storage-class", "GLACIER"), ("x-amz-meta-m", "1,2")] {
        assert!(told.contains(&header), "{told:?}");
    }
    assert!(self::form(&[("x-amz-meta-m", "a\r\nb")]).headers().is_err());
    assert_eq!(self::form(&[]).key().unwrap_err().code, Code::InvalidArgument);
    assert_eq!(self::form(&[("key", "")]).key().unwrap_err().code, Code::InvalidArgument);
    assert_eq!(self::form(&[("key", &"k".repeat(1025))]).key().unwrap_err().code, Code::KeyTooLongError);
}

#[test]
fn successes() {
    let key = ObjectKey::parse("a/b c").unwrap();
    let etag = ETag::parse("abc").unwrap();
    let answer =
        |fields: &[(&str, &str)]| form(fields).success("http://h/b/a%2Fb%20c", &bucket(), &key, &etag);
    let created = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>http://h/b/a%2Fb%20c</Location>\
        <Bucket>sigv4examplebucket</Bucket><Key>a/b c</Key><ETag>&quot;abc&quot;</ETag></PostResponse>";
    assert_eq!(answer(&[("success_action_status", "201")]), Success::Created(created.into()));
    assert_eq!(answer(&[("success_action_status", "200")]), Success::Empty(StatusCode::OK));
    assert_eq!(answer(&[("success_action_status", "404")]), Success::Empty(StatusCode::NO_CONTENT));
    assert_eq!(answer(&[("redirect", "ftp://h/")]), Success::Empty(StatusCode::NO_CONTENT));
    let to = "bucket=sigv4examplebucket&key=a%2Fb%20c&etag=%22abc%22";
    assert_eq!(answer(&[("redirect", "http://h/")]), Success::Redirect(format!("http://h/?{to}")));
    assert_eq!(
        answer(&[("success_action_redirect", "http://h/?x=y"), ("redirect", "http://i/")]),
        Success::Redirect(format!("http://h/?x=y&{to}"))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_file_comes_out_as_it_went_in(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "\r\n", "\r", "\r\n-", "\r\n--", "--X", "\0", "abc",
        ]), 0..30),
        size in 1_usize..20,
    ) {
        let file = pieces.concat();
        prop_assume!(!file.contains("\r\n--X"));
        let (form, read) = read(&encode(&[("key", "k")], file.as_bytes()), size).unwrap();
        let form = form.unwrap();
        prop_assert_eq!(form.field("key"), Some("k"));
        prop_assert_eq!(read, file.into_bytes());
    }

    #[test]
    fn hostile_bodies_never_panic(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "--X", "\r\n", "\n", "--", "Content-Disposition: form-data", "; name=", "\"file\"", "\"key\"", "; filename=\"",
            "\\", ":", "=", "\u{e9}",
        ]), 0..40),
        size in 1_usize..9,
    ) {
        let body = pieces.concat();
        if let Ok((form, _)) = read(body.as_bytes(), size) {
            prop_assert!(form.is_some());
        }
    }
}
