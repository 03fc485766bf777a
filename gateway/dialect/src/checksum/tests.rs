#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{
    Algorithm, Checksum, ChecksumError, Demand, Demanded, Hasher, Kind, Md5, ObjectChecksum, UploadChecksum,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

const ABC: [(Algorithm, &str); 5] = [
    (Algorithm::Crc32, "NSRBwg=="),
    (Algorithm::Crc32c, "Nks/tw=="),
    (Algorithm::Crc64Nvme, "BeXKuz/B+us="),
    (Algorithm::Sha1, "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
    (Algorithm::Sha256, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="),
];

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

#[test]
fn values_of_abc_are_the_published_ones() {
    for (algorithm, base64) in ABC {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(b"a");
        hasher.update(b"");
        hasher.update(b"bc");
        let checksum = hasher.finish();
        assert_eq!(checksum.to_base64(), base64, "{algorithm}");
        assert_eq!(Checksum::parse(algorithm, base64), Ok(checksum));
        assert_eq!(Algorithm::parse(algorithm.lower_name()), Ok(algorithm));
        assert_eq!(Algorithm::from_header(algorithm.header()), Some(algorithm));
    }
    let check = Checksum::of(Algorithm::Crc64Nvme, b"123456789");
    assert_eq!(check.as_bytes(), 0xAE8B_1486_0A79_9888_u64.to_be_bytes());
}

#[test]
fn values_of_another_length_are_refused() {
    for (algorithm, base64) in ABC {
        let (cut, longer) = (&base64[1..], format!("{base64}{base64}"));
        for wrong in ["", "=", "AAAA", cut, &longer, "NSRBwg", "NSR Bwg="] {
            let refused = Checksum::parse(algorithm, wrong);
            assert_eq!(refused, Err(ChecksumError::InvalidValue { algorithm }), "{algorithm} {wrong}");
        }
    }
    let text = ChecksumError::InvalidValue { algorithm: Algorithm::Crc32 }.to_string();
    assert_eq!(text, "Value for x-amz-checksum-crc32 header is invalid.");
}

#[test]
fn demand_reads_one_value_and_refuses_confusion() {
    let crc = Checksum::of(Algorithm::Crc32, b"abc");
    let check = |pairs: &[(&'static str, &str)], expected: Result<Option<Demanded>, ChecksumError>| {
        let found = Demand::from_headers(&headers(pairs)).map(|demand| demand.checksum);
        assert_eq!(found, expected, "{pairs:?}");
    };
    check(&[], Ok(None));
    check(&[("x-amz-checksum-mode", "ENABLED"), ("x-amz-checksum-algorithm", "CRC32")], Ok(None));
    let named = [("x-amz-checksum-crc32", "NSRBwg=="), ("x-amz-sdk-checksum-algorithm", "CRC32")];
    check(&named, Ok(Some(Demanded::Value(crc))));
    check(&[("x-amz-trailer", "x-amz-checksum-sha256")], Ok(Some(Demanded::Trailer(Algorithm::Sha256))));
    let two = [("x-amz-checksum-crc32", "NSRBwg=="), ("x-amz-checksum-crc32c", "Nks/tw==")];
    check(&two, Err(ChecksumError::Multiple));
    let both = [("x-amz-checksum-crc32", "NSRBwg=="), ("x-amz-trailer", "x-amz-checksum-crc32")];
    check(&both, Err(ChecksumError::Multiple));
    check(&[("x-amz-checksum-sha512", "AA==")], Err(ChecksumError::Unsupported));
    check(&[("x-amz-trailer", "x-amz-checksum-xxhash3")], Err(ChecksumError::Unsupported));
    check(&[("x-amz-sdk-checksum-algorithm", "MD5")], Err(ChecksumError::Unsupported));
    check(&[("x-amz-sdk-checksum-algorithm", "CRC32")], Err(ChecksumError::AnnouncedButAbsent));
    let other = [("x-amz-checksum-crc32", "NSRBwg=="), ("x-amz-sdk-checksum-algorithm", "SHA1")];
    check(&other, Err(ChecksumError::AnnouncedOther));
}

#[test]
fn content_md5_is_sixteen_bytes_or_an_invalid_digest() {
    let demand = Demand::from_headers(&headers(&[("content-md5", "kAFQmDzST7DWlj99KOF/cg==")])).unwrap();
    assert_eq!(demand.content_md5, Some(Md5::of(b"abc")));
    for wrong in ["", "kAFQmDzST7DWlj99KOF/", "not base64 not base64 !!"] {
        let refused = Demand::from_headers(&headers(&[("content-md5", wrong)])).unwrap_err();
        assert_eq!(refused.code().as_str(), "InvalidDigest");
        assert_eq!(refused.extras(), [("Content-MD5", wrong.to_owned())]);
    }
}

#[test]
fn upload_types_follow_the_table() {
    use Algorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
    let cases = [
        (Crc32, None, Ok(Kind::Composite)),
        (Crc32c, Some("FULL_OBJECT"), Ok(Kind::FullObject)),
        (Crc64Nvme, None, Ok(Kind::FullObject)),
        (
            Crc64Nvme,
            Some("COMPOSITE"),
            Err("The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm."),
        ),
        (
            Sha1,
            Some("FULL_OBJECT"),
            Err("The FULL_OBJECT checksum type cannot be used with the sha1 checksum algorithm."),
        ),
        (Sha256, Some("COMPOSITE"), Ok(Kind::Composite)),
        (Sha256, Some("composite"), Err("Value for x-amz-checksum-type header is invalid.")),
    ];
    for (algorithm, kind, expected) in cases {
        let mut map = headers(&[("x-amz-checksum-algorithm", algorithm.name())]);
        if let Some(kind) = kind {
            map.insert("x-amz-checksum-type", kind.parse().unwrap());
        }
        let found = UploadChecksum::from_headers(&map);
        let found = found.map(|upload| upload.unwrap().kind()).map_err(|error| error.to_string());
        assert_eq!(found, expected.map_err(str::to_owned), "{algorithm} {kind:?}");
    }
    let alone = UploadChecksum::from_headers(&headers(&[("x-amz-checksum-type", "COMPOSITE")]));
    assert_eq!(alone, Err(ChecksumError::KindWithoutAlgorithm));
}

#[test]
fn composite_is_the_checksum_of_checksums() {
    let parts = [Checksum::of(Algorithm::Sha256, b"abc"), Checksum::of(Algorithm::Sha256, b"def")];
    let upload = UploadChecksum::new(Algorithm::Sha256, None).unwrap();
    let whole = upload.of_parts(parts.iter().map(|part| (part, 3))).unwrap();
    let expected = Checksum::of(Algorithm::Sha256, &[parts[0].as_bytes(), parts[1].as_bytes()].concat());
    assert_eq!(whole.to_string(), format!("{}-2", expected.to_base64()));
    assert_eq!(ObjectChecksum::parse(Algorithm::Sha256, &whole.to_string()), Ok(whole));
    for wrong in ["NSRBwg==-0", "NSRBwg==-", "NSRBwg==-+1", "NSRBwg==-1-1", "-1", "NSRBwg==-99999999999"] {
        assert!(ObjectChecksum::parse(Algorithm::Crc32, wrong).is_err(), "{wrong}");
    }
    let other = Checksum::of(Algorithm::Sha1, b"abc");
    assert_eq!(upload.of_parts([(&other, 3)]), None);
    assert_eq!(upload.of_parts([]), None);
}

#[test]
fn a_completion_declares_the_object_not_the_body() {
    let map = headers(&[("x-amz-checksum-crc32", "NSRBwg==-2"), ("content-md5", "kAFQmDzST7DWlj99KOF/cg==")]);
    let object = ObjectChecksum::from_headers(&map).unwrap().unwrap();
    assert_eq!((object.kind(), object.to_string().as_str()), (Kind::Composite, "NSRBwg==-2"));
    let demand = Demand::of_body_alone(&map).unwrap();
    assert_eq!((demand.checksum, demand.content_md5), (None, Some(Md5::of(b"abc"))));
    let two = headers(&[("x-amz-checksum-crc32", "NSRBwg=="), ("x-amz-checksum-crc32c", "Nks/tw==")]);
    assert_eq!(ObjectChecksum::from_headers(&two), Err(ChecksumError::Multiple));
    assert_eq!(ObjectChecksum::from_headers(&headers(&[])), Ok(None));
}

#[test]
fn etags_are_the_known_ones() {
    assert_eq!(Md5::of(b"").etag(), "d41d8cd98f00b204e9800998ecf8427e");
    let parts = [Md5::of(b"abc"), Md5::of(b"def")];
    let joined = Md5::of(&[parts[0].0, parts[1].0].concat());
    assert_eq!(Md5::multipart_etag(parts), format!("{}-2", joined.etag()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn full_object_crc_of_parts_is_that_of_the_whole(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 1..6)) {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let upload = UploadChecksum::new(algorithm, Some(Kind::FullObject)).unwrap();
            let sums: Vec<Checksum> = parts.iter().map(|part| Checksum::of(algorithm, part)).collect();
            let whole = upload.of_parts(sums.iter().zip(parts.iter().map(|part| part.len() as u64)));
            prop_assert_eq!(whole, Some(ObjectChecksum::Full(Checksum::of(algorithm, &parts.concat()))));
        }
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "\\PC{0,60}") {
        for algorithm in Algorithm::ALL {
            if let Ok(value) = ObjectChecksum::parse(algorithm, &text) {
                prop_assert_eq!(ObjectChecksum::parse(algorithm, &value.to_string()), Ok(value));
            }
        }
    }
}
