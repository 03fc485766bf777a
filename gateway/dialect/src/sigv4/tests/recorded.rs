//! Requests as botocore 1.43 put them on the wire, signed with the example key: an independent signer's opinion of
//! hard keys, metadata with inner spaces, flag parameters, dot segments, trailers and presigned URLs.

use super::{by_key, parts, verify_at};
use crate::aws_chunked::PayloadReader;
use crate::sigv4::AmzDate;

type Recorded = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn recorded_requests_verify() {
    for (method, target, headers) in RECORDED {
        let parts = parts(method.parse().unwrap(), target, headers);
        let presigned = target.contains("X-Amz-Signature");
        let now = AmzDate::parse("20261120T131642Z").unwrap().timestamp();
        let verdict = verify_at(&parts, now).unwrap_or_else(|error| panic!("{method} {target}: {error:?}"));
        assert_eq!(verdict.caller, by_key(presigned));
        PayloadReader::new(verdict.payload, &parts.headers).unwrap();
    }
}

const RECORDED: &[Recorded] = &[
    (
        "PUT",
        "/b/a%20b/%C3%BC%2B%28c%29%3Ad%2Ce%3Df%26g%3Bh%21i%2Aj%27k%40l%24~m//../n%252F%22%3C%3E%5B%5D%7B%7D%7C%5E%60%23%3F",
        &[
            ("amz-sdk-invocation-id", "7b5b46fd-5655-411b-bd20-0b87eb9f9238"),
            ("amz-sdk-request", "attempt=1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/s3/aws4_request, SignedHeaders=content-type;host;x-amz-checksum-crc32;x-amz-content-sha256;x-amz-date;x-amz-meta-note;x-amz-sdk-checksum-algorithm, Signature=72e3096fd38f818c8de849dfe90ef35fa4dc39ae37d2a6964909f42e68f0ee28",
            ),
            ("content-length", "3"),
            ("content-type", "text/plain"),
            ("expect", "100-continue"),
            ("host", "127.0.0.1:9000"),
            ("x-amz-checksum-crc32", "NSRBwg=="),
            ("x-amz-content-sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("x-amz-date", "20261120T131642Z"),
            ("x-amz-meta-note", "two  spaces  inside"),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ],
    ),
    (
        "PUT",
        "/b/a%20b/%C3%BC%2B%28c%29%3Ad%2Ce%3Df%26g%3Bh%21i%2Aj%27k%40l%24~m//../n%252F%22%3C%3E%5B%5D%7B%7D%7C%5E%60%23%3F",
        &[
            ("amz-sdk-invocation-id", "6f9fcf33-c248-4665-a059-37fe2275503e"),
            ("amz-sdk-request", "attempt=1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/s3/aws4_request, SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-sdk-checksum-algorithm;x-amz-storage-class;x-amz-trailer, Signature=d5871ea38f47fc7d7fc8db2a64d6796e4706defbf9924da30f0d6a0a9e250a5c",
            ),
            ("content-encoding", "aws-chunked"),
            ("expect", "100-continue"),
            ("host", "gate.example"),
            ("transfer-encoding", "chunked"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-date", "20261120T131642Z"),
            ("x-amz-decoded-content-length", "3"),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
            ("x-amz-storage-class", "GLACIER"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ],
    ),
    (
        "GET",
        "/b?list-type=2&prefix=a%20b%2Bc%2F&delimiter=%2F&start-after=%C3%BC%26%3D~%2A&encoding-type=url",
        &[
            ("amz-sdk-invocation-id", "c7f9e2f8-04c8-4ad4-9449-296382ebfa50"),
            ("amz-sdk-request", "attempt=1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=627b839c90770797c118f7e906573987b2953145b53bfbe8677e1630a28cc3dd",
            ),
            ("host", "127.0.0.1:9000"),
            ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("x-amz-date", "20261120T131642Z"),
        ],
    ),
    (
        "POST",
        "/b/k?restore",
        &[
            ("amz-sdk-invocation-id", "fb5dd6a6-115c-4b55-a477-31a4c9948995"),
            ("amz-sdk-request", "attempt=1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-checksum-crc32;x-amz-content-sha256;x-amz-date;x-amz-sdk-checksum-algorithm, Signature=220f39ea0d889a530aaa534b9c94246b82935cda0d5ab8d2e2b3d9d9bcbc68c8",
            ),
            ("content-length", "95"),
            ("host", "127.0.0.1:9000"),
            ("x-amz-checksum-crc32", "/4f3rA=="),
            ("x-amz-content-sha256", "366a04789eb277ea28f1d497ed45d9e98b7d61ac8b4c9c64b60c98b88eea22d9"),
            ("x-amz-date", "20261120T131642Z"),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ],
    ),
    (
        "PUT",
        "/b/k?partNumber=1&uploadId=u%2F%3D%2B~",
        &[
            ("amz-sdk-invocation-id", "bf8c4116-5089-489b-aac1-e020ded6828f"),
            ("amz-sdk-request", "attempt=1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-checksum-crc32;x-amz-content-sha256;x-amz-date;x-amz-sdk-checksum-algorithm, Signature=66fd715cf765ba809563b973393fea2c143d73b2ae368699bdc116c42cb957ee",
            ),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("host", "127.0.0.1:9000"),
            ("x-amz-checksum-crc32", "NSRBwg=="),
            ("x-amz-content-sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            ("x-amz-date", "20261120T131642Z"),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ],
    ),
    (
        "GET",
        "/b/./a/../b",
        &[
            ("amz-sdk-invocation-id", "43cc91c6-952c-45f5-90ea-30ae78650c12"),
            ("amz-sdk-request", "attempt=1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/s3/aws4_request, SignedHeaders=host;range;x-amz-checksum-mode;x-amz-content-sha256;x-amz-date, Signature=030f3bf86754bef1f6241156f40b8a00e338e491ccdf3a8a5849119efe5f4f12",
            ),
            ("host", "127.0.0.1:9000"),
            ("range", "bytes=0-1"),
            ("x-amz-checksum-mode", "ENABLED"),
            ("x-amz-content-sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("x-amz-date", "20261120T131642Z"),
        ],
    ),
    (
        "POST",
        "/b?delete",
        &[
            ("amz-sdk-invocation-id", "c7f9e020-d69d-45cd-abe0-5977e7886909"),
            ("amz-sdk-request", "attempt=1"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261120/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-checksum-crc32;x-amz-content-sha256;x-amz-date;x-amz-sdk-checksum-algorithm, Signature=adb9556fff48b8861a9c83128d3621ca6420125d392f50bc2124c684b75223ad",
            ),
            ("content-length", "94"),
            ("host", "127.0.0.1:9000"),
            ("x-amz-checksum-crc32", "tCs18Q=="),
            ("x-amz-content-sha256", "ee14008cf8b8dc1560aef85ac8e299c5afd06c7dc857e44ce281beffe62f093d"),
            ("x-amz-date", "20261120T131642Z"),
            ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ],
    ),
    (
        "GET",
        "/b/a%20b/%C3%BC%2B%28c%29%3Ad%2Ce%3Df%26g%3Bh%21i%2Aj%27k%40l%24~m//../n%252F%22%3C%3E%5B%5D%7B%7D%7C%5E%60%23%3F?response-content-disposition=attachment%3B%20filename%3D%22a%20b%2Bc.txt%22&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261120%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20261120T131642Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=bc2609c05fea6f0cd2977d9422b14b05a162f355501fdb63d280d35c3956ae46",
        &[("host", "127.0.0.1:9000")],
    ),
];
