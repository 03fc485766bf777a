//! Documents in and out: a small bounded tree to read, a string of open and closed elements to write.
//!
//! Reading: names lose their prefix, attributes and comments are passed over, a document type is refused (so no
//! entity but the five of XML exists), and bytes, elements and depth are bounded. Children may come in any order.
//! Writing: the declaration, a line end, then elements without white space between them, as S3 does.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::error::{Code, Result, S3Error};

/// Namespace of every document of S3.
pub const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// Most elements of a document: 10 000 parts with all their checksums fit.
const ELEMENTS_MAX: usize = 100_000;
/// Deepest nesting of a document.
const DEPTH_MAX: usize = 16;

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// An element as read: its local name, its own text, its child elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Name without a prefix.
    pub name: String,
    /// All character data directly inside, in order, as it stands.
    pub text: String,
    /// Child elements in order.
    pub children: Vec<Element>,
}

/// Reads a document whose root must be `root`.
///
/// Errors: `MalformedXML`, or `MaxMessageLengthExceeded` above `bytes_max`.
pub fn read(document: &[u8], root: &str, bytes_max: usize) -> Result<Element> {
    let element = read_any(document, bytes_max)?;
    if element.name == root { Ok(element) } else { Err(S3Error::malformed_xml()) }
}

/// Reads a document with any root. Errors as [`read`].
pub fn read_any(document: &[u8], bytes_max: usize) -> Result<Element> {
    if document.len() > bytes_max {
        return Err(S3Error::new(Code::MaxMessageLengthExceeded)
            .extra("MaxMessageLengthBytes", bytes_max.to_string()));
    }
    let text = std::str::from_utf8(document).map_err(|_| S3Error::malformed_xml())?;
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut tree = Tree::default();
    loop {
        match reader.read_event().map_err(|_| S3Error::malformed_xml())? {
            Event::Start(start) => tree.open(start.local_name().as_ref())?,
            Event::Empty(start) => {
                tree.open(start.local_name().as_ref())?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            Event::Text(text) => tree.text(&text.xml10_content())?,
            Event::CData(text) => tree.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => tree.text(&resolve(&reference)?)?,
            Event::DocType(_) => return Err(S3Error::malformed_xml()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

/// The text an entity or character reference stands for. Zero is a character too: XML knows none, but keys may hold
/// it and [`escape`] writes it so.
pub(crate) fn resolve(reference: &BytesRef<'_>) -> Result<String> {
    let digits = reference.strip_prefix("#x").or_else(|| reference.strip_prefix('#'));
    if digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit == b'0')) {
        return Ok("\0".to_owned());
    }
    if let Some(character) = reference.resolve_char_ref().map_err(|_| S3Error::malformed_xml())? {
        return Ok(character.to_string());
    }
    let name = reference.xml10_content();
    quick_xml::escape::resolve_xml_entity(&name).map(str::to_owned).ok_or_else(S3Error::malformed_xml)
}

/// Text as it must stand between tags: markup is escaped, control characters are written as references (which
/// XML 1.0 forbids and S3 does all the same).
pub fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(character),
            control if u32::from(control) < 0x20 => out.push_str(&format!("&#x{:x};", u32::from(control))),
            '\u{fffe}' | '\u{ffff}' => out.push_str(&format!("&#x{:x};", u32::from(character))),
            plain => out.push(plain),
        }
    }
}

/// Writes one document. Elements are closed by their name, which is checked.
#[derive(Debug)]
pub struct Writer {
    out: String,
    open: Vec<&'static str>,
}

/// Elements open while a document is read.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    count: usize,
}

// === impl Element ===

impl Element {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The only child of this name, if there is one; two of them are `MalformedXML`.
    pub fn at_most_one(&self, name: &str) -> Result<Option<&Element>> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        let first = found.next();
        if found.next().is_some() { Err(S3Error::malformed_xml()) } else { Ok(first) }
    }

    /// The text of a leaf without the white space around it; child elements are `MalformedXML`.
    pub fn trimmed(&self) -> Result<&str> {
        self.exact().map(str::trim_ascii)
    }

    /// The text of a leaf as it stands (keys, prefixes); child elements are `MalformedXML`.
    pub fn exact(&self) -> Result<&str> {
        if self.children.is_empty() { Ok(&self.text) } else { Err(S3Error::malformed_xml()) }
    }

    /// The leaf as an integer; anything else, and anything beyond 64 bits, is `MalformedXML`.
    pub fn integer(&self) -> Result<i64> {
        self.trimmed()?.parse().map_err(|_| S3Error::malformed_xml())
    }

    /// The leaf as `true` or `false`; anything else is `MalformedXML`.
    pub fn boolean(&self) -> Result<bool> {
        match self.trimmed()? {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(S3Error::malformed_xml()),
        }
    }

    /// The trimmed text of the only child of this name.
    pub fn leaf(&self, name: &str) -> Result<Option<&str>> {
        self.at_most_one(name)?.map(Element::trimmed).transpose()
    }

    /// `MalformedXML` unless every child has one of these names and no text stands between them.
    pub fn only(&self, names: &[&str]) -> Result<()> {
        let known = self.children.iter().all(|child| names.contains(&child.name.as_str()));
        if known && self.text.trim_ascii().is_empty() { Ok(()) } else { Err(S3Error::malformed_xml()) }
    }
}

// === impl Tree ===

impl Tree {
    fn open(&mut self, name: &str) -> Result<()> {
        self.count += 1;
        let second_root = self.open.is_empty() && self.root.is_some();
        if second_root || self.count > ELEMENTS_MAX || self.open.len() == DEPTH_MAX {
            return Err(S3Error::malformed_xml());
        }
        self.open.push(Element { name: name.to_owned(), ..Element::default() });
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let element = self.open.pop().ok_or_else(S3Error::malformed_xml)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<()> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim_ascii().is_empty() => {}
            None => return Err(S3Error::malformed_xml()),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element> {
        if self.open.is_empty() {
            self.root.ok_or_else(S3Error::malformed_xml)
        } else {
            Err(S3Error::malformed_xml())
        }
    }
}

// === impl Writer ===

impl Writer {
    /// A document with no namespace (errors).
    pub fn bare() -> Self {
        Self { out: DECLARATION.to_owned(), open: Vec::new() }
    }

    /// A document whose root, opened here, carries the namespace.
    pub fn root(name: &'static str) -> Self {
        let mut writer = Self::bare();
        writer.out.push_str(&format!("<{name} xmlns=\"{NAMESPACE}\">"));
        writer.open.push(name);
        writer
    }

    /// Opens an element.
    pub fn open(&mut self, name: &'static str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
        self.open.push(name);
    }

    /// Closes the innermost element, which must be `name`.
    pub fn close(&mut self, name: &'static str) {
        assert_eq!(self.open.pop(), Some(name), "elements close in the order they were opened");
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Text inside the innermost element.
    pub fn text(&mut self, text: &str) {
        escape(text, &mut self.out);
    }

    /// An element of text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
        escape(text, &mut self.out);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// An element of text, if there is one.
    pub fn optional(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    /// The document; what is still open is closed.
    pub fn finish(mut self) -> Vec<u8> {
        while let Some(&name) = self.open.last() {
            self.close(name);
        }
        self.out.into_bytes()
    }
}

#[cfg(test)]
mod tests;
