//! The S3 record of an object as its pack carries it: enough to make the object again from tape alone.

use model::Archive;
use model::store::ObjectHead;
use volume::pack::{ObjectRecord, PartRecord};

const METADATA_PREFIX: &str = "x-amz-meta-";
const CHECKSUM_PREFIX: &str = "x-amz-checksum-";

/// The record of the object that `head` describes.
pub(crate) fn record(archive: &Archive, head: &ObjectHead) -> ObjectRecord {
    let (metadata, headers): (Vec<_>, Vec<_>) =
        head.headers.iter().cloned().partition(|(name, _)| name.starts_with(METADATA_PREFIX));
    let strip = |prefix: &str, name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    let composite =
        head.checksums.iter().any(|(name, value)| name == "x-amz-checksum-type" && value == "COMPOSITE");
    let checksums =
        head.checksums.iter().filter(|(name, _)| name != "x-amz-checksum-type").map(|(name, value)| {
            let algorithm = strip(CHECKSUM_PREFIX, name).to_uppercase();
            (if composite { format!("{algorithm}-COMPOSITE") } else { algorithm }, value.clone())
        });
    ObjectRecord {
        bucket: archive.bucket.to_string(),
        key: archive.key.to_string(),
        version_id: head.version.as_ref().map(ToString::to_string),
        etag: head.etag.to_string(),
        last_modified_ms: head.last_modified.milliseconds(),
        size: head.size,
        class: archive.class.to_string(),
        headers,
        metadata: metadata.into_iter().map(|(name, value)| (strip(METADATA_PREFIX, &name), value)).collect(),
        checksums: checksums.collect(),
        parts: (1..)
            .zip(&archive.part_bytes)
            .map(|(number, size)| PartRecord { number, size: *size, ..PartRecord::default() })
            .collect(),
        ..ObjectRecord::default()
    }
}
