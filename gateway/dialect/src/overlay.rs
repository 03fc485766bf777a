//! Edits a listing on its way from the store to the client.
//!
//! Two passes over the same bytes: [`entries`] tells which objects a page lists, so that the caller can look them
//! up; [`rewrite`] then changes what `Contents` says of those that are archived. Only the elements changed are
//! written anew: every other byte, known to us or not, leaves as it came.
//!
//! Works on ListObjects and ListObjectsV2 (`ListBucketResult`), with keys plain or percent-encoded.

use std::ops::Range;

use model::restore::Visible;
use model::{ETag, ObjectKey, StorageClass, Timestamp};
use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::date;
use crate::xml;

/// Longest listing edited, in bytes: 1 000 keys of 1 024 bytes, escaped, in one page.
pub const BYTES_MAX: usize = 16 << 20;

/// The store's answer is not a listing that can be edited. Nothing of it must reach a client unedited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// More bytes than a page of 1 000 keys can have.
    #[error("the listing is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// Not well-formed, or not a ListBucketResult, or an entry lacks a key, an ETag, a date or a size.
    #[error("the listing cannot be read")]
    Form,
}

/// One listed object as the store tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Key, decoded.
    pub key: ObjectKey,
    /// ETag.
    pub etag: ETag,
    /// Last-Modified.
    pub last_modified: Timestamp,
    /// Size of what the store holds, in bytes.
    pub size: u64,
}

/// What an entry is made to say instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// ETag of the object.
    pub etag: ETag,
    /// Last-Modified of the object.
    pub last_modified: Timestamp,
    /// Size of the object in bytes.
    pub size: u64,
    /// Its class.
    pub class: StorageClass,
    /// Its restore, to be told (`x-amz-optional-object-attributes` was sent); `None` when it was not asked for.
    pub restore: Option<Visible>,
}

/// The objects a listing names, in its order.
pub fn entries(document: &[u8]) -> Result<Vec<Entry>, OverlayError> {
    let listing = Listing::scan(document)?;
    listing.contents.iter().map(|contents| contents.entry(listing.url_encoded)).collect()
}

/// The listing with the overlays put in; with none, the bytes given.
pub fn rewrite(
    document: &[u8],
    mut overlay: impl FnMut(&Entry) -> Option<Overlay>,
) -> Result<Vec<u8>, OverlayError> {
    let listing = Listing::scan(document)?;
    let mut out = Vec::with_capacity(document.len());
    let mut copied = 0;
    for contents in &listing.contents {
        let entry = contents.entry(listing.url_encoded)?;
        let Some(overlay) = overlay(&entry) else { continue };
        for (range, replacement) in contents.edits(&overlay) {
            out.extend_from_slice(&document[copied..range.start]);
            out.extend_from_slice(replacement.as_bytes());
            copied = range.end;
        }
    }
    out.extend_from_slice(&document[copied..]);
    Ok(out)
}

/// Where the entries of a listing are.
#[derive(Default)]
struct Listing {
    url_encoded: bool,
    contents: Vec<Contents>,
}

/// One `<Contents>`: its leaves and where its end tag begins.
#[derive(Default)]
struct Contents {
    fields: Vec<Field>,
    end: usize,
    /// `prefix:` of the end tag, for documents that use one.
    prefix: String,
}

/// One child element of an entry.
struct Field {
    name: String,
    text: String,
    /// The whole element, tags included.
    span: Range<usize>,
}

// === impl Listing ===

impl Listing {
    fn scan(document: &[u8]) -> Result<Self, OverlayError> {
        if document.len() > BYTES_MAX {
            return Err(OverlayError::TooLong);
        }
        let text = std::str::from_utf8(document).map_err(|_| OverlayError::Form)?;
        if text.starts_with('\u{feff}') {
            return Err(OverlayError::Form);
        }
        let mut scan =
            Scan { listing: Self::default(), depth: 0, rooted: false, child: None, text: String::new() };
        let mut reader = Reader::from_str(text);
        loop {
            let start = position(&reader);
            let event = reader.read_event().map_err(|_| OverlayError::Form)?;
            let end = position(&reader);
            match event {
                Event::Start(tag) => scan.open(tag.name().as_ref(), start)?,
                Event::Empty(tag) => {
                    scan.open(tag.name().as_ref(), start)?;
                    scan.close(end, end)?;
                }
                Event::End(_) => scan.close(start, end)?,
                Event::Text(text) => scan.text.push_str(&text.xml10_content()),
                Event::CData(text) => scan.text.push_str(&text.xml10_content()),
                Event::GeneralRef(name) => {
                    scan.text.push_str(&xml::resolve(&name).map_err(|_| OverlayError::Form)?)
                }
                Event::DocType(_) => return Err(OverlayError::Form),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof if scan.depth == 0 && scan.rooted => return Ok(scan.listing),
                Event::Eof => return Err(OverlayError::Form),
            }
        }
    }
}

/// State of one pass. Depth 1 is inside the root, 2 inside one of its children, 3 inside a field.
struct Scan {
    listing: Listing,
    depth: usize,
    rooted: bool,
    /// Name of the element open at depth 2.
    child: Option<String>,
    text: String,
}

// === impl Scan ===

impl Scan {
    fn open(&mut self, qualified: &str, start: usize) -> Result<(), OverlayError> {
        let (prefix, name) = qualified.split_at(qualified.rfind(':').map_or(0, |colon| colon + 1));
        self.depth += 1;
        match self.depth {
            1 if self.rooted || name != "ListBucketResult" => return Err(OverlayError::Form),
            1 => self.rooted = true,
            2 => {
                self.child = Some(name.to_owned());
                self.text.clear();
                if name == "Contents" {
                    let contents = Contents { prefix: prefix.to_owned(), ..Contents::default() };
                    self.listing.contents.push(contents);
                }
            }
            3 => {
                let inside = self.child.as_deref() == Some("Contents");
                self.text.clear();
                if inside {
                    let contents = self.listing.contents.last_mut().ok_or(OverlayError::Form)?;
                    contents.fields.push(Field {
                        name: name.to_owned(),
                        text: String::new(),
                        span: start..start,
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, start: usize, end: usize) -> Result<(), OverlayError> {
        let inside = self.child.as_deref() == Some("Contents");
        match self.depth {
            0 => return Err(OverlayError::Form),
            3 if inside => {
                let contents = self.listing.contents.last_mut().ok_or(OverlayError::Form)?;
                let field = contents.fields.last_mut().ok_or(OverlayError::Form)?;
                field.span.end = end;
                field.text = std::mem::take(&mut self.text);
            }
            2 if inside => {
                self.listing.contents.last_mut().ok_or(OverlayError::Form)?.end = start;
                self.child = None;
            }
            2 if self.child.take().as_deref() == Some("EncodingType") => {
                self.listing.url_encoded = self.text.trim_ascii() == "url";
            }
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }
}

// === impl Contents ===

impl Contents {
    fn entry(&self, url_encoded: bool) -> Result<Entry, OverlayError> {
        let field = |name| self.field(name).map(|field| field.text.as_str()).ok_or(OverlayError::Form);
        let key = match (field("Key")?, url_encoded) {
            (key, false) => key.to_owned(),
            // Some stores write a space as `+`; a plus itself is always escaped in this encoding.
            (key, true) => {
                let key = key.replace('+', " ");
                percent_decode_str(&key).decode_utf8().map_err(|_| OverlayError::Form)?.into_owned()
            }
        };
        Ok(Entry {
            key: ObjectKey::parse(&key).map_err(|_| OverlayError::Form)?,
            etag: ETag::parse(field("ETag")?.trim_ascii()).map_err(|_| OverlayError::Form)?,
            last_modified: date::parse_iso(field("LastModified")?).ok_or(OverlayError::Form)?,
            size: field("Size")?.trim_ascii().parse().map_err(|_| OverlayError::Form)?,
        })
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// What replaces what, in the order of the document. A field that is missing is added before the end tag.
    fn edits(&self, overlay: &Overlay) -> Vec<(Range<usize>, String)> {
        let replaced = [
            ("LastModified", self.leaf("LastModified", &overlay.last_modified.to_string())),
            ("ETag", self.leaf("ETag", &overlay.etag.quoted())),
            ("Size", self.leaf("Size", &overlay.size.to_string())),
            ("StorageClass", self.leaf("StorageClass", overlay.class.as_str())),
            // The store knows nothing of our restores: what it says of one goes.
            ("RestoreStatus", overlay.restore.map(|restore| self.status(restore)).unwrap_or_default()),
        ];
        let mut edits = Vec::new();
        let mut added = String::new();
        for (name, text) in replaced {
            match self.field(name) {
                Some(field) => edits.push((field.span.clone(), text)),
                None => added.push_str(&text),
            }
        }
        edits.sort_by_key(|(range, _)| range.start);
        edits.push((self.end..self.end, added));
        edits
    }

    fn leaf(&self, name: &str, text: &str) -> String {
        let mut out = format!("<{}{name}>", self.prefix);
        xml::escape(text, &mut out);
        out.push_str(&format!("</{}{name}>", self.prefix));
        out
    }

    fn status(&self, restore: Visible) -> String {
        let (running, until) = match restore {
            Visible::Archived => return String::new(),
            Visible::Ongoing => ("true", None),
            Visible::Readable { until } => ("false", Some(until)),
        };
        let prefix = &self.prefix;
        let running = self.leaf("IsRestoreInProgress", running);
        let until = until.map(|until| self.leaf("RestoreExpiryDate", &until.to_string())).unwrap_or_default();
        format!("<{prefix}RestoreStatus>{running}{until}</{prefix}RestoreStatus>")
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).expect("a listing is far shorter than the address space")
}

#[cfg(test)]
mod tests;
