//! A listing taken apart: where its items are, what their known leaves say, and how an item is edited.

use std::ops::Range;

use model::limits::LIST_KEYS_MAX;
use model::restore::Visible;
use model::{ETag, ObjectKey, Timestamp};
use percent_encoding::percent_decode_str;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::{BYTES_MAX, Overlay, OverlayError};
use crate::date;
use crate::xml;

/// The leaves of an item that are read or written; of each at most one. All others are passed over.
const FIELDS: [&str; 8] =
    ["Key", "VersionId", "IsLatest", "LastModified", "ETag", "Size", "StorageClass", "RestoreStatus"];
/// Most items of a page. Stores give 1 000; some may be set to more.
const ITEMS_MAX: usize = 10 * LIST_KEYS_MAX;

/// The kind of a listing: its root and its items.
pub(super) struct Kind {
    pub(super) root: &'static str,
    pub(super) items: &'static [&'static str],
}

/// Where the items of a listing are.
#[derive(Default)]
pub(super) struct Listing {
    url_encoded: bool,
    pub(super) items: Vec<Item>,
}

/// One item: its known leaves, and where it stands.
#[derive(Default)]
pub(super) struct Item {
    pub(super) name: &'static str,
    /// The whole element, tags included.
    pub(super) span: Range<usize>,
    /// Where its end tag begins.
    end: usize,
    /// `prefix:` of its tags, for documents that use one.
    prefix: String,
    fields: Vec<Field>,
    url_encoded: bool,
}

/// One child element of an item.
struct Field {
    name: &'static str,
    text: String,
    /// The whole element, tags included.
    span: Range<usize>,
}

/// What replaces what, in the order of the document.
pub(super) type Edits = Vec<(Range<usize>, String)>;

// === impl Listing ===

impl Listing {
    pub(super) fn scan(document: &[u8], kind: &'static Kind) -> Result<Self, OverlayError> {
        if document.len() > BYTES_MAX {
            return Err(OverlayError::TooLong);
        }
        let text = std::str::from_utf8(document).map_err(|_| OverlayError::Form)?;
        if text.starts_with('\u{feff}') {
            return Err(OverlayError::Form);
        }
        let mut scan = Scan::new(kind);
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
                Event::Eof => return scan.finish(),
            }
        }
    }

    /// The document with what `edits` says of each item.
    pub(super) fn edit(
        &self,
        document: &[u8],
        mut edits: impl FnMut(&Item) -> Result<Edits, OverlayError>,
    ) -> Result<Vec<u8>, OverlayError> {
        let mut out = Vec::with_capacity(document.len());
        let mut copied = 0;
        for item in &self.items {
            for (range, replacement) in edits(item)? {
                out.extend_from_slice(&document[copied..range.start]);
                out.extend_from_slice(replacement.as_bytes());
                copied = range.end;
            }
        }
        out.extend_from_slice(&document[copied..]);
        Ok(out)
    }
}

/// State of one pass. Depth 1 is inside the root, 2 inside one of its children, 3 inside a field.
struct Scan {
    kind: &'static Kind,
    listing: Listing,
    depth: usize,
    rooted: bool,
    inside: Inside,
    text: String,
}

/// Which element is open at depth 2, as far as it matters.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Item { known_field: bool },
    EncodingType,
    Other,
}

// === impl Scan ===

impl Scan {
    fn new(kind: &'static Kind) -> Self {
        let (listing, inside) = (Listing::default(), Inside::Other);
        Self { kind, listing, depth: 0, rooted: false, inside, text: String::new() }
    }

    fn open(&mut self, qualified: &str, start: usize) -> Result<(), OverlayError> {
        let (prefix, name) = qualified.split_at(qualified.rfind(':').map_or(0, |colon| colon + 1));
        self.depth += 1;
        match (self.depth, self.inside) {
            (1, _) if self.rooted || name != self.kind.root => return Err(OverlayError::Form),
            (1, _) => self.rooted = true,
            (2, _) => self.inside = self.child(prefix, name, start)?,
            (3, Inside::Item { .. }) => {
                let known = FIELDS.into_iter().find(|known| *known == name);
                self.inside = Inside::Item { known_field: known.is_some() };
                if let Some(name) = known {
                    let item = self.listing.items.last_mut().ok_or(OverlayError::Form)?;
                    if item.field(name).is_some() {
                        return Err(OverlayError::Form);
                    }
                    item.fields.push(Field { name, text: String::new(), span: start..start });
                }
            }
            _ => {}
        }
        if self.depth <= 3 {
            self.text.clear();
        }
        Ok(())
    }

    /// Opens a child of the root.
    fn child(&mut self, prefix: &str, name: &str, start: usize) -> Result<Inside, OverlayError> {
        let Some(name) = self.kind.items.iter().find(|item| **item == name) else {
            return Ok(if name == "EncodingType" { Inside::EncodingType } else { Inside::Other });
        };
        if self.listing.items.len() == ITEMS_MAX {
            return Err(OverlayError::TooLong);
        }
        self.listing.items.push(Item {
            name,
            span: start..start,
            prefix: prefix.to_owned(),
            ..Item::default()
        });
        Ok(Inside::Item { known_field: false })
    }

    fn close(&mut self, start: usize, end: usize) -> Result<(), OverlayError> {
        let item = self.listing.items.last_mut();
        match (self.depth, self.inside) {
            (0, _) => return Err(OverlayError::Form),
            (3, Inside::Item { known_field: true }) => {
                let field = item.and_then(|item| item.fields.last_mut()).ok_or(OverlayError::Form)?;
                field.span.end = end;
                field.text = std::mem::take(&mut self.text);
            }
            (2, Inside::Item { .. }) => {
                let item = item.ok_or(OverlayError::Form)?;
                (item.end, item.span.end) = (start, end);
            }
            (2, Inside::EncodingType) => self.listing.url_encoded = self.text.trim_ascii() == "url",
            _ => {}
        }
        self.depth -= 1;
        Ok(())
    }

    fn finish(mut self) -> Result<Listing, OverlayError> {
        if self.depth > 0 || !self.rooted {
            return Err(OverlayError::Form);
        }
        for item in &mut self.listing.items {
            item.url_encoded = self.listing.url_encoded;
        }
        Ok(self.listing)
    }
}

// === impl Item ===

impl Item {
    pub(super) fn key(&self) -> Result<ObjectKey, OverlayError> {
        let key = match (self.text("Key")?, self.url_encoded) {
            (key, false) => key.to_owned(),
            // Some stores write a space as `+`; a plus itself is always escaped in this encoding.
            (key, true) => {
                let key = key.replace('+', " ");
                percent_decode_str(&key).decode_utf8().map_err(|_| OverlayError::Form)?.into_owned()
            }
        };
        ObjectKey::parse(&key).map_err(|_| OverlayError::Form)
    }

    /// Its ETag, if it has a usable one.
    pub(super) fn etag(&self) -> Option<ETag> {
        ETag::parse(self.field("ETag")?.text.trim_ascii()).ok()
    }

    pub(super) fn last_modified(&self) -> Result<Timestamp, OverlayError> {
        date::parse_iso(self.text("LastModified")?).ok_or(OverlayError::Form)
    }

    pub(super) fn size(&self) -> Result<u64, OverlayError> {
        self.text("Size")?.trim_ascii().parse().map_err(|_| OverlayError::Form)
    }

    pub(super) fn text(&self, name: &str) -> Result<&str, OverlayError> {
        self.field(name).map(|field| field.text.as_str()).ok_or(OverlayError::Form)
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The element a field becomes under this overlay, by name.
    pub(super) fn overlaid(&self, overlay: &Overlay) -> Vec<(&'static str, String)> {
        vec![
            ("LastModified", self.leaf("LastModified", &overlay.last_modified.to_string())),
            ("ETag", self.leaf("ETag", &overlay.etag.quoted())),
            ("Size", self.leaf("Size", &overlay.size.to_string())),
            ("StorageClass", self.leaf("StorageClass", overlay.class.as_str())),
            // The store knows nothing of our restores: what it says of one goes.
            ("RestoreStatus", overlay.restore.map(|restore| self.status(restore)).unwrap_or_default()),
        ]
    }

    /// What puts these elements in. One that is missing is added before the end tag.
    pub(super) fn edits(&self, elements: Vec<(&'static str, String)>) -> Edits {
        let mut edits = Vec::new();
        let mut added = String::new();
        for (name, text) in elements {
            match self.field(name) {
                Some(field) => edits.push((field.span.clone(), text)),
                None => added.push_str(&text),
            }
        }
        edits.sort_by_key(|(range, _)| range.start);
        edits.push((self.end..self.end, added));
        edits
    }

    pub(super) fn leaf(&self, name: &str, text: &str) -> String {
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

/// How far a document was read, in bytes.
pub(super) fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).expect("a listing is far shorter than the address space")
}
