#![allow(clippy::unwrap_used)]
use super::*;
use model::ArchiveId;
use proptest::prelude::*;

fn names() -> (BucketName, ObjectKey, MarkerKey) {
    (BucketName::parse("bucket").unwrap(), ObjectKey::parse("a/b\nc").unwrap(), MarkerKey::new([7; 32]))
}

fn marker(original: Option<(u64, &str, i64)>) -> Marker {
    Marker {
        kind: if original.is_some() { MarkerKind::Stub } else { MarkerKind::Whole },
        archive: ArchiveId::from_u128(42),
        class: TapeClass::DeepArchive,
        original: original.map(|(size, etag, mtime)| Original {
            size,
            etag: ETag::parse(etag).unwrap(),
            last_modified: Timestamp::from_milliseconds(mtime),
        }),
    }
}

#[test]
fn the_form_is_the_documented_one() {
    let (bucket, key, secret) = names();
    let record = render(&marker(Some((5, "abc-2", 1_356_048_000_123))), &bucket, &key, &secret);
    let (fields, signature) = record.rsplit_once(';').unwrap();
    assert_eq!(fields, "v1;stub;0000000000000000000000001A;DEEP_ARCHIVE;5;abc%2D2;1356048000123");
    assert_eq!(signature.len(), 64);
    let record = render(&marker(None), &bucket, &key, &secret);
    assert!(record.starts_with("v1;whole;0000000000000000000000001A;DEEP_ARCHIVE;-;-;-;"));
}

#[test]
fn records_hold_for_their_own_key_only() {
    let (bucket, key, secret) = names();
    let good = render(&marker(Some((5, "a;b%", 7))), &bucket, &key, &secret);
    assert_eq!(parse(&good, &bucket, &key, &secret), Ok(marker(Some((5, "a;b%", 7)))));
    let other_key = ObjectKey::parse("a/b").unwrap();
    let other_bucket = BucketName::parse("bucket2").unwrap();
    let forged = good.replace(";5;", ";6;");
    for (record, bucket, key, secret) in [
        (&good, &bucket, &other_key, &secret),
        (&good, &other_bucket, &key, &secret),
        (&good, &bucket, &key, &MarkerKey::new([8; 32])),
        (&forged, &bucket, &key, &secret),
    ] {
        assert_eq!(parse(record, bucket, key, secret), Err(MarkerError::Signature));
    }
    for text in ["", "v1", "v2;stub;x", ";;;;;;;", "v1;stub;0000000000000000000000001A;STANDARD;-;-;-;00"] {
        assert_eq!(parse(text, &bucket, &key, &secret), Err(MarkerError::Form), "{text}");
    }
}

#[test]
fn a_stub_has_its_size_whatever_the_record() {
    let (bucket, key, secret) = names();
    let longest = ";".repeat(256);
    for marker in [marker(None), marker(Some((u64::MAX, longest.as_str(), i64::MIN)))] {
        let record = render(&marker, &bucket, &key, &secret);
        let body = stub_body(&record);
        assert_eq!(body.len(), 1531);
        assert_eq!(stub_record(&body), Some(record.as_str()));
    }
    assert_eq!(stub_record(b"not a stub"), None);
    assert_eq!(stub_record(&[b' '; 1531]), None);
}

#[test]
fn the_key_is_never_printed() {
    assert_eq!(format!("{:?}", names().2), "MarkerKey(..)");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn records_round_trip(size in any::<u64>(), etag in "[!-~]{1,256}", mtime in any::<i64>()) {
        prop_assume!(ETag::parse(&etag).unwrap().as_str() == etag);
        let (bucket, key, secret) = names();
        let marker = marker(Some((size, etag.as_str(), mtime)));
        let record = render(&marker, &bucket, &key, &secret);
        prop_assert_eq!(parse(&record, &bucket, &key, &secret), Ok(marker));
    }

    #[test]
    fn any_text_is_survived(text in "[v1;stubwhole0-9\\PC]{0,80}") {
        let (bucket, key, secret) = names();
        prop_assert!(parse(&text, &bucket, &key, &secret).is_err());
    }
}
