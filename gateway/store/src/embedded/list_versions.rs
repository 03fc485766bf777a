//! ListObjectVersions: pages by seek, keys in byte order, the newest entry of a key first.
//!
//! The page goes on behind a place, not behind a version: `NextVersionIdMarker` finds it even when that version is
//! gone in the meantime. Common prefixes are walked as in ListObjects.

use std::ops::Bound;
use std::sync::Arc;

use dialect::checksum::Algorithm;
use dialect::listing::{Owner, count, restore_status, url_encoded};
use dialect::xml::Writer;
use dialect::{Code, S3Error};
use http::Response;
use model::limits::LIST_KEYS_MAX;
use model::{Body, ETag};
use redb::ReadOnlyTable;

use super::fault::{Fault, Outcome};
use super::list::behind;
use super::record::{Bucket, Entry, Version, decode, inverted_sequence, list_position};
use super::respond::document;
use super::tables::{Record, Snapshot, VERSIONS, VersionKey};
use super::upload::whole_seconds;
use super::versions::Which;
use super::{Ask, Inner};
use crate::s3_store::request::escape_key;

/// Answers on a blocking thread: a page may read much of the database.
pub(super) async fn list(inner: &Arc<Inner>, ask: Ask) -> Outcome<Response<Body>> {
    let inner = Arc::clone(inner);
    tokio::task::spawn_blocking(move || inner.list_versions(&ask)).await.map_err(Fault::Task)?
}

/// What is asked for.
struct Request {
    prefix: String,
    delimiter: Option<String>,
    key_marker: String,
    version_marker: Option<String>,
    max_keys: usize,
    url_encoded: bool,
}

/// A place in the table: a key and an inverted sequence.
type Place = (Vec<u8>, u64);

/// An entry on a page.
struct Line {
    key: String,
    entry: Entry,
    latest: bool,
}

#[derive(Default)]
struct Page {
    lines: Vec<Line>,
    common_prefixes: Vec<String>,
    /// Key (or common prefix) and place to go on behind, when there is more.
    next: Option<(String, Option<String>)>,
}

impl Inner {
    fn list_versions(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let name = ask.route.bucket()?.as_str();
        let snapshot = self.snapshot()?;
        let bucket = snapshot.bucket(name)?;
        let request = Request::parse(ask)?;
        let mut walk = Walk {
            table: snapshot.transaction().open_table(VERSIONS)?,
            bucket: &bucket,
            request: &request,
            page: Page::default(),
            last: None,
        };
        walk.run(request.start(&snapshot, &bucket)?)?;
        let page = walk.page;
        Ok(document(request.document(name, &page, &self.owner)?))
    }
}

// === impl Request ===

impl Request {
    /// Errors: `InvalidArgument`.
    fn parse(ask: &Ask) -> Result<Self, S3Error> {
        let query = &ask.route.query;
        // Whether a restore is under way is not known here; that nothing else is asked for is checked all the same.
        restore_status(&ask.headers)?;
        let text = |name: &str| query.value(name).unwrap_or_default().to_owned();
        let request = Self {
            prefix: text("prefix"),
            delimiter: query.filled("delimiter").map(str::to_owned),
            key_marker: text("key-marker"),
            version_marker: query.filled("version-id-marker").map(str::to_owned),
            max_keys: count(query, "max-keys", LIST_KEYS_MAX)?,
            url_encoded: url_encoded(query)?,
        };
        match &request.version_marker {
            Some(id) if request.key_marker.is_empty() => Err(S3Error::argument(
                "A version-id marker cannot be specified without a key marker.",
                "version-id-marker",
                id.clone(),
            )),
            _ => Ok(request),
        }
    }

    /// Where the walk begins. Errors: `InvalidArgument` for a marker that never was a version id.
    fn start(&self, snapshot: &Snapshot, bucket: &Bucket) -> Outcome<Bound<Place>> {
        if self.key_marker < self.prefix {
            return Ok(Bound::Included((self.prefix.clone().into_bytes(), 0)));
        }
        let key = self.key_marker.clone().into_bytes();
        let inverted = match self.version_marker.as_deref() {
            None => u64::MAX,
            Some("null") => {
                let null = Which::Named("null".to_owned());
                let entry = snapshot.entry(bucket, &self.key_marker, &null)?;
                entry.map_or(u64::MAX, |entry| !entry.sequence())
            }
            Some(id) => inverted_sequence(id)
                .ok_or_else(|| S3Error::argument("Invalid version id specified", "version-id-marker", id))?,
        };
        Ok(Bound::Excluded((key, inverted)))
    }

    fn document(&self, bucket: &str, page: &Page, owner: &Owner) -> Outcome<Vec<u8>> {
        let text = |text: &str| if self.url_encoded { escape_key(text) } else { text.to_owned() };
        let mut out = Writer::root("ListVersionsResult");
        out.leaf("Name", bucket);
        out.leaf("Prefix", &text(&self.prefix));
        out.leaf("KeyMarker", &text(&self.key_marker));
        out.leaf("VersionIdMarker", self.version_marker.as_deref().unwrap_or_default());
        if let Some((key, place)) = &page.next {
            out.leaf("NextKeyMarker", &text(key));
            out.optional("NextVersionIdMarker", place.as_deref());
        }
        out.leaf("MaxKeys", &self.max_keys.to_string());
        out.optional("Delimiter", self.delimiter.as_deref().map(text).as_deref());
        out.optional("EncodingType", self.url_encoded.then_some("url"));
        out.leaf("IsTruncated", if page.next.is_some() { "true" } else { "false" });
        for line in &page.lines {
            write_line(&mut out, line, &text(&line.key), owner)?;
        }
        for prefix in &page.common_prefixes {
            out.open("CommonPrefixes");
            out.leaf("Prefix", &text(prefix));
            out.close("CommonPrefixes");
        }
        Ok(out.finish())
    }
}

fn write_line(out: &mut Writer, line: &Line, key: &str, owner: &Owner) -> Outcome<()> {
    let element = match line.entry {
        Entry::Object(_) => "Version",
        Entry::Marker(_) => "DeleteMarker",
    };
    out.open(element);
    out.leaf("Key", key);
    out.leaf("VersionId", &line.entry.id());
    out.leaf("IsLatest", if line.latest { "true" } else { "false" });
    out.leaf("LastModified", &whole_seconds(line.entry.last_modified()).to_string());
    if let Entry::Object(version) = &line.entry {
        write_object(out, version)?;
    }
    out.open("Owner");
    out.leaf("ID", &owner.id);
    out.leaf("DisplayName", &owner.display_name);
    out.close("Owner");
    out.close(element);
    Ok(())
}

fn write_object(out: &mut Writer, version: &Version) -> Outcome<()> {
    let etag = ETag::parse(&version.etag).map_err(|_| S3Error::new(Code::InternalError))?;
    out.leaf("ETag", &etag.quoted());
    if let Some(checksum) = &version.checksum
        && let Ok(algorithm) = Algorithm::parse(&checksum.algorithm)
    {
        out.leaf("ChecksumAlgorithm", algorithm.name());
        out.leaf("ChecksumType", &checksum.kind);
    }
    out.leaf("Size", &version.size.to_string());
    out.leaf("StorageClass", &version.class);
    Ok(())
}

struct Walk<'a> {
    table: ReadOnlyTable<VersionKey, Record>,
    bucket: &'a Bucket,
    request: &'a Request,
    page: Page,
    /// Key and place of the last thing put on the page.
    last: Option<(String, Option<String>)>,
}

// === impl Walk ===

impl Walk<'_> {
    fn run(&mut self, mut from: Bound<Place>) -> Result<(), Fault> {
        if self.request.max_keys == 0 {
            return Ok(());
        }
        while let Some(common) = self.run_to_prefix(&from)? {
            if common.as_str() > self.request.key_marker.as_str() {
                if self.is_full() {
                    return Ok(());
                }
                self.last = Some((common.clone(), None));
                self.page.common_prefixes.push(common.clone());
            }
            match behind(common.into_bytes()) {
                Some(next) => from = Bound::Included((next, 0)),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes entries until the page is full, they end, or a common prefix is met, which is returned.
    fn run_to_prefix(&mut self, from: &Bound<Place>) -> Result<Option<String>, Fault> {
        let id = self.bucket.id.0;
        let lower = from.as_ref().map(|(key, inverted)| (id, key.as_slice(), *inverted));
        let upper = Bound::Excluded((id + 1, &[][..], 0));
        let rows = self.table.range::<(u64, &[u8], u64)>((lower, upper))?;
        let mut above = self.above(from)?;
        for row in rows {
            let (key, record) = row?;
            let key = String::from_utf8_lossy(key.value().1).into_owned();
            let Some(rest) = key.strip_prefix(&self.request.prefix) else {
                return Ok(None);
            };
            if let Some(delimiter) = &self.request.delimiter
                && let Some(at) = rest.find(delimiter.as_str())
            {
                let end = self.request.prefix.len() + at + delimiter.len();
                return Ok(Some(key[..end].to_owned()));
            }
            if self.is_full() {
                return Ok(None);
            }
            let entry: Entry = decode("versions", record.value())?;
            let latest = above.as_ref() != Some(&key);
            self.last = Some((key.clone(), Some(list_position(entry.sequence(), entry.last_modified()))));
            above = Some(key.clone());
            self.page.lines.push(Line { key, entry, latest });
        }
        Ok(None)
    }

    /// The key whose history the page goes on with, if an entry stands above that place: what follows is not latest.
    fn above(&self, from: &Bound<Place>) -> Result<Option<String>, Fault> {
        let Bound::Excluded((key, inverted)) = from else { return Ok(None) };
        let (id, key) = (self.bucket.id.0, key.as_slice());
        let above = self.table.range::<(u64, &[u8], u64)>((id, key, 0)..=(id, key, *inverted))?.next();
        Ok(above.transpose()?.map(|_| String::from_utf8_lossy(key).into_owned()))
    }

    /// Whether the page has no room for what was just found, which makes it one that goes on.
    fn is_full(&mut self) -> bool {
        if self.page.lines.len() + self.page.common_prefixes.len() < self.request.max_keys {
            return false;
        }
        self.page.next = self.last.clone();
        true
    }
}
