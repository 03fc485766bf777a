//! The S3 record of an object as its pack and a journal carry it: enough to make the object again from tape alone.

use model::marker::USER_PREFIX;
use model::store::ObjectHead;
use model::{Archive, Identity};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use volume::pack::{ObjectRecord, PartRecord};

const CHECKSUM_PREFIX: &str = "x-amz-checksum-";
const CHECKSUM_TYPE: &str = "x-amz-checksum-type";
const COMPOSITE: &str = "-COMPOSITE";
const TAGGING: &str = "x-amz-tagging";
const GRANT_PREFIX: &str = "x-amz-grant-";
/// What stays as it is in a tag of the header: letters, digits and these.
const TAG_ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The record of the object that `head`, an inspection, describes.
pub(crate) fn record(archive: &Archive, head: &ObjectHead) -> ObjectRecord {
    let mut record = ObjectRecord {
        bucket: archive.bucket.to_string(),
        key: archive.key.to_string(),
        version_id: head.version.as_ref().map(ToString::to_string),
        etag: head.etag.to_string(),
        // A listing may tell it finer than a head does.
        last_modified_ms: archive.last_modified.unwrap_or(head.last_modified).milliseconds(),
        size: head.size,
        class: archive.class.to_string(),
        checksums: checksums(&head.checksums),
        parts: (1..)
            .zip(&archive.part_bytes)
            .map(|(number, size)| PartRecord { number, size: *size, ..PartRecord::default() })
            .collect(),
        ..ObjectRecord::default()
    };
    sort(&mut record, &head.headers);
    record
}

/// The record of an archived object as its stub now stands.
pub(crate) fn record_now(archive: &Archive, stub: &ObjectHead, hidden: bool) -> Option<ObjectRecord> {
    let identity = archive.identity.as_ref()?;
    let mut headers = stub.headers.clone();
    headers.extend(archive.displaced_metadata.iter().cloned());
    headers.sort();
    let whole = ObjectHead {
        etag: identity.etag.clone(),
        size: archive.size,
        version: identity.version.clone(),
        headers,
        checksums: archive.checksums.clone(),
        ..stub.clone()
    };
    Some(ObjectRecord { hidden, ..record(archive, &whole) })
}

/// Puts each header of an inspection in its place in the record.
fn sort(record: &mut ObjectRecord, headers: &[(String, String)]) {
    let mut grants = Vec::new();
    for (name, value) in headers {
        if let Some(name) = name.strip_prefix(USER_PREFIX) {
            record.metadata.push((name.to_owned(), value.clone()));
        } else if name == TAGGING {
            record.tags = value.split('&').filter(|tag| !tag.is_empty()).map(tag).collect();
        } else if name.starts_with(GRANT_PREFIX) {
            grants.push(format!("{name}: {value}"));
        } else {
            record.headers.push((name.clone(), value.clone()));
        }
    }
    record.acl = (!grants.is_empty()).then(|| grants.join("\n"));
}

fn tag(text: &str) -> (String, String) {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (decoded(key), decoded(value))
}

/// System headers, user metadata, tags and ACL of a record as a PUT takes them and an inspection returns them.
pub(crate) fn headers(record: &ObjectRecord) -> Vec<(String, String)> {
    let mut headers = record.headers.clone();
    headers
        .extend(record.metadata.iter().map(|(name, value)| (format!("{USER_PREFIX}{name}"), value.clone())));
    if !record.tags.is_empty() {
        let escaped = |text: &str| utf8_percent_encode(text, TAG_ESCAPED).to_string();
        let tags = record.tags.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(value)));
        headers.push((TAGGING.to_owned(), tags.collect::<Vec<_>>().join("&")));
    }
    let grants = record.acl.iter().flat_map(|acl| acl.lines()).filter_map(|line| line.split_once(": "));
    headers.extend(grants.map(|(name, value)| (name.to_owned(), value.to_owned())));
    headers.sort();
    headers
}

/// What tells one state of an archived object's attributes from others: `headers` as a PUT takes them, sorted, and
/// whether a delete marker stands above it.
pub(crate) fn attributes_digest(headers: &[(String, String)], hidden: bool) -> [u8; 32] {
    if hidden {
        let mut headers = headers.to_vec();
        headers.push(("hidden".to_owned(), String::new()));
        return Identity::digest(&headers, None);
    }
    Identity::digest(headers, None)
}

/// The record's form of checksums as a store returns them.
fn checksums(told: &[(String, String)]) -> Vec<(String, String)> {
    let composite = told.iter().any(|(name, value)| name == CHECKSUM_TYPE && value == "COMPOSITE");
    let named = told.iter().filter(|(name, _)| name != CHECKSUM_TYPE).map(|(name, value)| {
        let algorithm = name.strip_prefix(CHECKSUM_PREFIX).unwrap_or(name).to_uppercase();
        (if composite { format!("{algorithm}{COMPOSITE}") } else { algorithm }, value.clone())
    });
    named.collect()
}

/// Checksums of a record as a store returns them.
pub(crate) fn checksum_headers(record: &ObjectRecord) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let mut kind = "FULL_OBJECT";
    for (algorithm, value) in &record.checksums {
        let plain = algorithm.strip_suffix(COMPOSITE);
        if plain.is_some() {
            kind = "COMPOSITE";
        }
        let name = plain.unwrap_or(algorithm).to_lowercase();
        headers.push((format!("{CHECKSUM_PREFIX}{name}"), value.clone()));
    }
    if !headers.is_empty() {
        headers.push((CHECKSUM_TYPE.to_owned(), kind.to_owned()));
    }
    headers.sort();
    headers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::store::ObjectRef;
    use model::{ArchiveId, ArchiveState, BucketName, ETag, ObjectKey, PoolName, TapeClass, Timestamp};

    fn archive() -> Archive {
        let mut archive = Archive::new(
            ArchiveId::new(1, 1),
            ObjectRef {
                bucket: BucketName::parse("bucket").unwrap(),
                key: ObjectKey::parse("a/ü").unwrap(),
                version: None,
            },
            TapeClass::Glacier,
            PoolName::parse("pool").unwrap(),
            ArchiveState::Due,
            Timestamp::from_seconds(0),
        );
        archive.last_modified = Some(Timestamp::from_milliseconds(1_234_567));
        archive.part_bytes = vec![5, 3];
        archive
    }

    fn head(pairs: &[(&str, &str)], checksums: &[(&str, &str)]) -> ObjectHead {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        ObjectHead {
            etag: ETag::parse("e-2").unwrap(),
            size: 8,
            last_modified: Timestamp::from_seconds(1_234),
            version: None,
            headers: owned(pairs),
            checksums: owned(checksums),
            protection: model::Protection::default(),
            marker: None,
        }
    }

    #[test]
    fn a_record_gives_back_what_an_inspection_told() {
        let told = head(
            &[
                ("content-type", "text/plain"),
                ("x-amz-grant-read", "id=\"a\", uri=\"b\""),
                ("x-amz-grant-write-acp", "id=\"c\""),
                ("x-amz-meta-a", "1"),
                ("x-amz-tagging", "a%20b=c%2Fd&e="),
            ],
            &[("x-amz-checksum-crc32", "AAAAAA==-2"), ("x-amz-checksum-type", "COMPOSITE")],
        );
        let record = record(&archive(), &told);
        assert_eq!(record.tags, [("a b".to_owned(), "c/d".to_owned()), ("e".to_owned(), String::new())]);
        assert_eq!(record.metadata, [("a".to_owned(), "1".to_owned())]);
        assert_eq!(record.last_modified_ms, 1_234_567, "as fine as it is known");
        assert_eq!(record.parts.iter().map(|part| part.size).collect::<Vec<_>>(), [5, 3]);
        let text = serde_json::to_string(&record).unwrap();
        let again: ObjectRecord = serde_json::from_str(&text).unwrap();
        assert_eq!(headers(&again), told.headers);
        assert_eq!(checksum_headers(&again), told.checksums);
    }

    #[test]
    fn nothing_told_is_nothing_kept() {
        let record = record(
            &archive(),
            &head(&[], &[("x-amz-checksum-sha256", "A"), ("x-amz-checksum-type", "FULL_OBJECT")]),
        );
        assert_eq!((record.tags.len(), &record.acl), (0, &None));
        assert_eq!(headers(&record), []);
        assert_eq!(checksum_headers(&record).len(), 2);
    }
}
