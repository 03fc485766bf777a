#![allow(clippy::unwrap_used)]
use super::*;
use crate::listing::{ListRequest, Object, Owner, Page};
use crate::route::Query;
use model::{BucketName, TapeClass};
use proptest::prelude::*;

const FOREIGN: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><!-- odd -->\n\
 <Contents><Key>a&amp;b</Key><LastModified>2012-12-21T00:00:00.000Z</LastModified>\
<ETag>&quot;stub&quot;</ETag><Size>1531</Size><Odd x='1'><Deep>&lt;</Deep></Odd><StorageClass>STANDARD</StorageClass></Contents>\n\
 <Contents><Size>7</Size><ETag>\"hot\"</ETag><Key>c</Key><LastModified>2012-12-22T00:00:00Z</LastModified></Contents>\
<CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes></ListBucketResult>";

fn overlay(restore: Option<Visible>) -> Overlay {
    Overlay {
        etag: ETag::parse("true-2").unwrap(),
        last_modified: Timestamp::from_seconds(0),
        size: 99,
        class: StorageClass::Tape(TapeClass::Glacier),
        restore,
    }
}

#[test]
fn entries_are_read_in_any_order_of_children() {
    let listed = entries(FOREIGN.as_bytes()).unwrap();
    let told: Vec<_> =
        listed.iter().map(|e| (e.key.as_str(), e.etag.as_ref().unwrap().as_str(), e.size)).collect();
    assert_eq!(told, [("a&b", "stub", 1531), ("c", "hot", 7)]);
    assert_eq!(listed[0].last_modified, Timestamp::from_seconds(1_356_048_000));
}

#[test]
fn only_what_changes_changes() {
    let out = rewrite(FOREIGN.as_bytes(), |entry| (entry.size == 1531).then(|| overlay(None))).unwrap();
    let expected = FOREIGN
        .replacen("2012-12-21T00:00:00.000Z", "1970-01-01T00:00:00.000Z", 1)
        .replacen("&quot;stub&quot;", "&quot;true-2&quot;", 1)
        .replacen("<Size>1531", "<Size>99", 1)
        .replacen("<StorageClass>STANDARD", "<StorageClass>GLACIER", 1);
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn an_unusable_etag_is_none_and_stays_unless_it_is_overlaid() {
    for blank in ["<ETag>&quot;&quot;</ETag>", "<ETag>\"\"</ETag>", "<ETag></ETag>", "<ETag/>", ""] {
        let document = FOREIGN.replacen("<ETag>&quot;stub&quot;</ETag>", blank, 1);
        let listed = entries(document.as_bytes()).unwrap();
        assert_eq!((&listed[0].etag, listed[0].size), (&None, 1531), "{blank}");
        assert!(listed[1].etag.is_some());
        assert_eq!(rewrite(document.as_bytes(), |_| None).unwrap(), document.as_bytes());
        let shown = rewrite(document.as_bytes(), |entry| entry.etag.is_none().then(|| overlay(None)));
        let shown = entries(&shown.unwrap()).unwrap();
        assert_eq!((shown[0].etag.clone(), shown[0].size), (ETag::parse("true-2").ok(), 99), "{blank}");
    }
    let twice = FOREIGN.replacen("<ETag>", "<ETag/><ETag>", 1);
    assert_eq!(entries(twice.as_bytes()), Err(OverlayError::Form));
}

#[test]
fn what_is_missing_is_added_at_the_end_of_the_entry() {
    let until = Timestamp::from_seconds(1_356_048_000);
    for (restore, status) in [
        (Some(Visible::Archived), ""),
        (
            Some(Visible::Ongoing),
            "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>",
        ),
        (
            Some(Visible::Readable { until }),
            "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
             <RestoreExpiryDate>2012-12-21T00:00:00.000Z</RestoreExpiryDate></RestoreStatus>",
        ),
    ] {
        let out = rewrite(FOREIGN.as_bytes(), |entry| (entry.size == 7).then(|| overlay(restore))).unwrap();
        let expected = format!(
            "<Contents><Size>99</Size><ETag>&quot;true-2&quot;</ETag><Key>c</Key>\
             <LastModified>1970-01-01T00:00:00.000Z</LastModified><StorageClass>GLACIER</StorageClass>{status}</Contents>"
        );
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(&expected), "{out}");
    }
}

#[test]
fn prefixed_and_encoded_listings_are_understood() {
    let document = "<s:ListBucketResult xmlns:s=\"u\"><s:Contents><s:Key>a%20b+c%2B</s:Key><s:LastModified>2012-12-21T00:00:00Z\
        </s:LastModified><s:ETag>e</s:ETag><s:Size>1</s:Size></s:Contents><s:EncodingType>url</s:EncodingType></s:ListBucketResult>";
    assert_eq!(entries(document.as_bytes()).unwrap()[0].key.as_str(), "a b c+");
    let out = rewrite(document.as_bytes(), |_| Some(overlay(Some(Visible::Ongoing)))).unwrap();
    assert_eq!(entries(&out).unwrap()[0].size, 99);
    assert!(String::from_utf8(out).unwrap().contains("<s:RestoreStatus><s:IsRestoreInProgress>true</s:"));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let entry = "<Contents><Key>k</Key><LastModified>2012-12-21T00:00:00Z</LastModified><ETag>e</ETag><Size>1</Size></Contents>";
    let listing = |inner: &str| format!("<ListBucketResult>{inner}</ListBucketResult>");
    assert!(entries(listing(entry).as_bytes()).is_ok());
    for document in [
        String::new(),
        "<Error/>".to_owned(),
        "<ListBucketResult>".to_owned(),
        format!("<!DOCTYPE x>{}", listing("")),
        format!("\u{feff}{}", listing("")),
        listing(&entry.replace("<Size>1</Size>", "")),
        listing(&entry.replace("<Size>1</Size>", "<Size>1</Size><Size>2</Size>")),
        listing(&entry.replace("<Size>1", "<Size>-1")),
        listing(&entry.replace("2012", "x")),
        listing("") + &listing(""),
    ] {
        assert_eq!(entries(document.as_bytes()), Err(OverlayError::Form), "{document}");
    }
    assert_eq!(entries(&vec![b' '; BYTES_MAX + 1]), Err(OverlayError::TooLong));
    assert_eq!(entries(listing(&entry.repeat(10_001)).as_bytes()), Err(OverlayError::TooLong));
}

fn our_listing(keys: &[String], url: bool) -> Vec<u8> {
    let query = if url { "list-type=2&encoding-type=url" } else { "delimiter=/" };
    let request = ListRequest::parse(&Query::parse(query).unwrap(), &http::HeaderMap::new()).unwrap();
    let objects = keys.iter().map(|key| Object {
        key: ObjectKey::parse(key).unwrap(),
        last_modified: Timestamp::from_seconds(5),
        etag: ETag::parse("e").unwrap(),
        checksum_algorithms: vec![],
        size: 1531,
        class: StorageClass::Standard,
        restore: Visible::Archived,
    });
    let page = Page { objects: objects.collect(), common_prefixes: vec!["p/".into()], next: None };
    let owner = Owner { id: "i".into(), display_name: "n".into() };
    request.document(&BucketName::parse("bkt").unwrap(), &page, &owner)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_overlay_is_identity(keys in proptest::collection::vec("[\\PC\u{0}\u{1}\t\n\r]{1,20}", 0..4), url in any::<bool>()) {
        let document = our_listing(&keys, url);
        prop_assert_eq!(rewrite(&document, |_| None).unwrap(), document.clone());
        let listed: Vec<String> = entries(&document).unwrap().iter().map(|e| e.key.as_str().to_owned()).collect();
        prop_assert_eq!(&listed, &keys);
        let changed = rewrite(&document, |_| Some(overlay(None))).unwrap();
        let listed = entries(&changed).unwrap();
        prop_assert!(listed.iter().zip(&keys).all(|(entry, key)| entry.key.as_str() == key && entry.size == 99));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..FOREIGN.len()) {
        let _outcome = rewrite(&bytes, |_| None);
        let mut broken = FOREIGN.as_bytes().to_vec();
        broken.splice(cut..cut, bytes);
        if let Ok(out) = rewrite(&broken, |_| None) {
            prop_assert_eq!(out, broken);
        }
    }
}
