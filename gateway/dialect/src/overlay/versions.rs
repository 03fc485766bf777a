//! ListObjectVersions: as the listing of objects, and lines may leave the page or take another version's id.
//!
//! Where a stub is a version of its own, the store lists two versions for what is one to the client: the line of the
//! stub is shown under the id the client knows, the other one is hidden. The page's markers are the store's and
//! stay as they are.

use model::{ETag, ObjectKey, Timestamp, VersionId};

use super::scan::{Item, Kind, Listing};
use super::{Overlay, OverlayError};

/// One listed version or delete marker as the store tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// Key, decoded.
    pub key: ObjectKey,
    /// The store's id of the version; `null` for one without.
    pub version: VersionId,
    /// Whether it is the current one.
    pub is_latest: bool,
    /// Last-Modified.
    pub last_modified: Timestamp,
    /// What it holds; nothing for a delete marker.
    pub content: Option<Content>,
}

/// What a listed version holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// ETag; none where the store lists no usable one.
    pub etag: Option<ETag>,
    /// Size of what the store holds, in bytes.
    pub size: u64,
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionEdit {
    /// It leaves as it came.
    Keep,
    /// It does not leave at all.
    Hide,
    /// It says this instead.
    Show {
        /// The id clients know.
        version: VersionId,
        /// Whether it is the current one to clients.
        is_latest: bool,
        /// The object it is to clients; without one the rest stays, as it does in a delete marker.
        overlay: Option<Overlay>,
    },
}

/// The versions and delete markers a listing names, in its order.
pub fn version_entries(document: &[u8]) -> Result<Vec<VersionEntry>, OverlayError> {
    Listing::scan(document, &VERSIONS)?.items.iter().map(VersionEntry::of).collect()
}

/// The listing with the edits made; with none, the bytes given.
pub fn rewrite_versions(
    document: &[u8],
    mut edit: impl FnMut(&VersionEntry) -> VersionEdit,
) -> Result<Vec<u8>, OverlayError> {
    Listing::scan(document, &VERSIONS)?.edit(document, |item| {
        let entry = VersionEntry::of(item)?;
        Ok(match edit(&entry) {
            VersionEdit::Keep => Vec::new(),
            VersionEdit::Hide => vec![(item.span.clone(), String::new())],
            VersionEdit::Show { version, is_latest, overlay } => {
                let latest = if is_latest { "true" } else { "false" };
                let mut elements = vec![
                    ("VersionId", item.leaf("VersionId", version.as_str())),
                    ("IsLatest", item.leaf("IsLatest", latest)),
                ];
                if let Some(overlay) = overlay.filter(|_| entry.content.is_some()) {
                    elements.extend(item.overlaid(&overlay));
                }
                item.edits(elements)
            }
        })
    })
}

// === impl VersionEntry ===

impl VersionEntry {
    fn of(item: &Item) -> Result<Self, OverlayError> {
        let is_latest = match item.text("IsLatest")?.trim_ascii() {
            "true" => true,
            "false" => false,
            _ => return Err(OverlayError::Form),
        };
        let content = match item.name {
            VERSION => Some(Content { etag: item.etag(), size: item.size()? }),
            _ => None,
        };
        Ok(Self {
            key: item.key()?,
            version: VersionId::parse(item.text("VersionId")?.trim_ascii())
                .map_err(|_| OverlayError::Form)?,
            is_latest,
            last_modified: item.last_modified()?,
            content,
        })
    }
}

const VERSION: &str = "Version";
const VERSIONS: Kind = Kind { root: "ListVersionsResult", items: &[VERSION, "DeleteMarker"] };

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use model::{StorageClass, TapeClass};
    use proptest::prelude::*;

    const PAGE: &str = "<?xml version=\"1.0\"?>\n<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>\n\
        <KeyMarker/><VersionIdMarker/><NextVersionIdMarker>v1</NextVersionIdMarker>\
        <Version><Key>a+b%2B</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-02T00:00:00.000Z</LastModified>\
        <ETag>&quot;stub&quot;</ETag><Size>1531</Size><Owner><ID>o</ID></Owner><StorageClass>STANDARD</StorageClass><Type>Normal</Type></Version>\n\
        <Version><Key>a+b%2B</Key><VersionId>v1</VersionId><IsLatest>false</IsLatest><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
        <ETag>&quot;hot&quot;</ETag><Size>9</Size></Version>\
        <DeleteMarker><Key>c</Key><VersionId>null</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-03T00:00:00Z</LastModified></DeleteMarker>\
        <EncodingType>url</EncodingType></ListVersionsResult>";

    fn show(version: &str) -> VersionEdit {
        let overlay = Overlay {
            etag: ETag::parse("true").unwrap(),
            last_modified: Timestamp::from_seconds(0),
            size: 99,
            class: StorageClass::Tape(TapeClass::Glacier),
            restore: None,
        };
        VersionEdit::Show {
            version: VersionId::parse(version).unwrap(),
            is_latest: true,
            overlay: Some(overlay),
        }
    }

    #[test]
    fn versions_and_delete_markers_are_told() {
        let told = version_entries(PAGE.as_bytes()).unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|entry| {
                let size = entry.content.as_ref().map(|content| content.size);
                (entry.key.as_str(), entry.version.as_str(), entry.is_latest, size)
            })
            .collect();
        let expected =
            [("a b+", "v2", true, Some(1531)), ("a b+", "v1", false, Some(9)), ("c", "null", true, None)];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_stub_takes_the_place_of_the_version_it_stands_for() {
        let out = rewrite_versions(PAGE.as_bytes(), |entry| match entry.version.as_str() {
            "v2" => show("v1"),
            "v1" => VersionEdit::Hide,
            _ => VersionEdit::Keep,
        });
        let hidden = PAGE.find("<Version><Key>a+b%2B</Key><VersionId>v1").unwrap();
        let after = PAGE.find("<DeleteMarker>").unwrap();
        let expected = format!("{}{}", &PAGE[..hidden], &PAGE[after..])
            .replacen("<VersionId>v2", "<VersionId>v1", 1)
            .replacen("2026-01-02", "1970-01-01", 1)
            .replacen("stub", "true", 1)
            .replacen("1531", "99", 1)
            .replacen("STANDARD", "GLACIER", 1);
        assert_eq!(String::from_utf8(out.unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_delete_marker_only_changes_its_id() {
        let out = rewrite_versions(PAGE.as_bytes(), |entry| match entry.content {
            None => show("v9"),
            Some(_) => VersionEdit::Keep,
        });
        let expected = PAGE.replacen("<VersionId>null", "<VersionId>v9", 1);
        assert_eq!(String::from_utf8(out.unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_version_listed_without_an_etag_can_still_be_shown() {
        let blank = PAGE.replacen("&quot;stub&quot;", "&quot;&quot;", 1);
        let content = version_entries(blank.as_bytes()).unwrap().swap_remove(0).content;
        assert_eq!(content, Some(Content { etag: None, size: 1531 }));
        let kept = rewrite_versions(blank.as_bytes(), |_| VersionEdit::Keep).unwrap();
        assert_eq!(kept, blank.as_bytes());
        let edit = |entry: &VersionEntry| match entry.version.as_str() {
            "v2" => show("v1"),
            _ => VersionEdit::Keep,
        };
        let shown = rewrite_versions(blank.as_bytes(), edit).unwrap();
        assert_eq!(shown, rewrite_versions(PAGE.as_bytes(), edit).unwrap());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for (from, to) in [
            ("ListVersionsResult", "ListBucketResult"),
            ("<IsLatest>true", "<IsLatest>1"),
            ("<VersionId>v2</VersionId>", ""),
            ("<VersionId>v2", "<VersionId>v 2"),
            ("<Size>1531</Size>", ""),
            ("<Key>c</Key>", "<Key>c</Key><Key>d</Key>"),
        ] {
            let broken = PAGE.replace(from, to);
            assert_eq!(version_entries(broken.as_bytes()), Err(OverlayError::Form), "{to}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_edits_leave_a_listing_of_what_is_left(choices in proptest::collection::vec(0..3, 3)) {
            let mut edits = choices.iter().map(|choice| match choice {
                0 => VersionEdit::Keep,
                1 => VersionEdit::Hide,
                _ => show("x"),
            });
            let out = rewrite_versions(PAGE.as_bytes(), |_| edits.next().unwrap()).unwrap();
            let left = version_entries(&out).unwrap();
            prop_assert_eq!(left.len(), choices.iter().filter(|choice| **choice != 1).count());
            let shown = left.iter().filter(|entry| entry.version.as_str() == "x").count();
            prop_assert_eq!(shown, choices.iter().filter(|choice| **choice == 2).count());
            if choices == [0, 0, 0] {
                prop_assert_eq!(out, PAGE.as_bytes());
            }
        }
    }
}
