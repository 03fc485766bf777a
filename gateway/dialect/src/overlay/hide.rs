//! Takes what names a bucket out of a document about many buckets: a list of them, or what each of them uses.
//!
//! Of XML that is the element around the leaf that names it (`Bucket` around `Name`), or the leaf alone where it stands
//! in a list of its like or right under the root; of JSON the innermost element of an array that names it. Every other
//! byte leaves as it came.

use std::ops::Range;

use model::BucketName;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::scan::position;
use super::{BYTES_MAX, OverlayError};

/// What is left out.
#[derive(Default)]
struct Cuts(Vec<Range<usize>>);

/// An open element of XML.
struct Open {
    start: usize,
    /// Where its text begins.
    inside: usize,
    /// Name of the first child, and whether all others are called the same.
    first: Option<String>,
    alike: bool,
    /// Children without children that name the bucket.
    hits: Vec<Range<usize>>,
}

/// An open array or object of JSON.
struct Level {
    is_array: bool,
    /// Where the element at hand begins.
    start: usize,
    /// Whether it names the bucket.
    hit: bool,
    /// Elements before it that stay.
    kept: usize,
}

/// The document without what names the bucket; the bytes given when nothing does.
///
/// Errors: [`OverlayError`] when the bucket is named in a way that cannot be left out.
pub fn without_bucket(document: &[u8], bucket: &BucketName) -> Result<Vec<u8>, OverlayError> {
    if document.len() > BYTES_MAX {
        return Err(OverlayError::TooLong);
    }
    let text = std::str::from_utf8(document).map_err(|_| OverlayError::Form)?;
    let name = bucket.as_str();
    if !text.contains(name) {
        return Ok(document.to_vec());
    }
    let cuts = match text.trim_start().as_bytes().first() {
        Some(b'<') => cuts_of_xml(text, name)?,
        _ => cuts_of_json(text, name).ok_or(OverlayError::Form)?,
    };
    let left = cuts.apply(text);
    if left.contains(name) { Err(OverlayError::Form) } else { Ok(left.into_bytes()) }
}

fn cuts_of_xml(text: &str, name: &str) -> Result<Cuts, OverlayError> {
    let mut cuts = Cuts::default();
    let mut open: Vec<Open> = Vec::new();
    let mut reader = Reader::from_str(text);
    loop {
        let start = position(&reader);
        let event = reader.read_event().map_err(|_| OverlayError::Form)?;
        let end = position(&reader);
        match event {
            Event::Start(tag) => {
                if let Some(parent) = open.last_mut() {
                    parent.has_child(tag.name().as_ref());
                }
                open.push(Open::new(start, end));
            }
            Event::Empty(tag) => {
                if let Some(parent) = open.last_mut() {
                    parent.has_child(tag.name().as_ref());
                }
            }
            Event::End(_) => {
                let closed = open.pop().ok_or(OverlayError::Form)?;
                let names_it = closed.first.is_none() && text[closed.inside..start].contains(name);
                match open.last_mut() {
                    Some(parent) if names_it => parent.hits.push(closed.start..end),
                    Some(_) if !closed.alike && !closed.hits.is_empty() => cuts.0.push(closed.start..end),
                    _ => cuts.0.extend(closed.hits),
                }
            }
            Event::DocType(_) => return Err(OverlayError::Form),
            Event::Eof => return Ok(cuts),
            _ => {}
        }
    }
}

fn cuts_of_json(text: &str, name: &str) -> Option<Cuts> {
    let mut cuts = Cuts::default();
    let mut open: Vec<Level> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                let end = end_of_string(text, at)?;
                if text[at..end].contains(name) {
                    open.iter_mut().rev().find(|level| level.is_array)?.hit = true;
                }
                at = end;
                continue;
            }
            b'[' | b'{' => {
                open.push(Level { is_array: *byte == b'[', start: at + 1, hit: false, kept: 0 });
            }
            b',' => open.last_mut()?.end_element(at, true, &mut cuts),
            b']' | b'}' => open.pop()?.end_element(at, false, &mut cuts),
            _ => {}
        }
        at += 1;
    }
    Some(cuts)
}

/// The place behind a string that begins at `start`.
fn end_of_string(text: &str, start: usize) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

// === impl Cuts ===

impl Cuts {
    fn apply(mut self, text: &str) -> String {
        self.0.sort_by_key(|cut| cut.start);
        let mut left = String::with_capacity(text.len());
        let mut copied = 0;
        // One inside another begins where nothing is left.
        for cut in self.0 {
            left.push_str(text.get(copied..cut.start).unwrap_or_default());
            copied = copied.max(cut.end);
        }
        left.push_str(&text[copied..]);
        left
    }
}

// === impl Open ===

impl Open {
    fn new(start: usize, inside: usize) -> Self {
        Self { start, inside, first: None, alike: true, hits: Vec::new() }
    }

    fn has_child(&mut self, called: &str) {
        match &self.first {
            None => self.first = Some(called.to_owned()),
            Some(first) => self.alike &= first == called,
        }
    }
}

// === impl Level ===

impl Level {
    /// The element at hand ends here, before a comma or as the last one.
    fn end_element(&mut self, end: usize, at_comma: bool, cuts: &mut Cuts) {
        match (self.hit, self.kept) {
            (false, _) => self.kept += 1,
            // One comma goes with it: that before it, or else that behind.
            (true, 0) => cuts.0.push(self.start..if at_comma { end + 1 } else { end }),
            (true, _) => cuts.0.push(self.start - 1..end),
        }
        (self.start, self.hit) = (end + 1, false);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NAME: &str = "tapegate-reserved-x1";

    fn left(document: &str) -> Result<String, OverlayError> {
        let document = document.replace('@', NAME);
        without_bucket(document.as_bytes(), &BucketName::parse(NAME).unwrap())
            .map(|left| String::from_utf8(left).unwrap())
    }

    #[test]
    fn what_names_the_bucket_is_left_out() {
        for (document, expected) in [
            // A list of buckets.
            (
                "<?xml version=\"1.0\"?>\n<L xmlns=\"x\"><Owner><ID>o</ID></Owner><Buckets><Bucket><Name>a</Name><D/></Bucket> <Bucket><Name>@</Name><D>1</D></Bucket></Buckets></L>",
                "<?xml version=\"1.0\"?>\n<L xmlns=\"x\"><Owner><ID>o</ID></Owner><Buckets><Bucket><Name>a</Name><D/></Bucket> </Buckets></L>",
            ),
            ("<L><Bucket><D/><Name>@</Name></Bucket></L>", "<L></L>"),
            // What each bucket uses, told twice over.
            (
                "<U><Entries><B><Bucket>@</Bucket><C><Entry><N>1</N><M/></Entry></C></B></Entries><Sum>3</Sum><Buckets><Entry><Bucket>a</Bucket><Bytes>5</Bytes></Entry><Entry><Bucket>@</Bucket><Bytes>6</Bytes></Entry></Buckets></U>",
                "<U><Entries></Entries><Sum>3</Sum><Buckets><Entry><Bucket>a</Bucket><Bytes>5</Bytes></Entry></Buckets></U>",
            ),
            // Names and nothing else.
            ("<L><B>a</B><B>@</B><B>c</B></L>", "<L><B>a</B><B>c</B></L>"),
            ("<L><Buckets><B>@</B></Buckets><N>1</N></L>", "<L><Buckets></Buckets><N>1</N></L>"),
            ("<L><P><B>@</B><B>a</B><B><X>@</X><Y/></B></P></L>", "<L><P><B>a</B></P></L>"),
            ("<L><Bucket>@</Bucket><Bytes>5</Bytes></L>", "<L><Bytes>5</Bytes></L>"),
            // An element that is left out takes along what was left out of it.
            ("<L><E><I><A>@</A><X/></I><Name>arn:@/k</Name></E><E/></L>", "<L><E/></L>"),
            (
                "{\"a\":[],\"b\":[{\"n\":\"x\"},{\"n\":\"@\",\"s\":[1,2]}]}",
                "{\"a\":[],\"b\":[{\"n\":\"x\"}]}",
            ),
            (
                "[{\"ID\":\"o\"},[{\"n\":\"@\"},{\"n\":\"x,]\\\"\"}]]",
                "[{\"ID\":\"o\"},[{\"n\":\"x,]\\\"\"}]]",
            ),
            ("[\"a\",\"@\",\"@/b\"]", "[\"a\"]"),
            ("[\"@\", \"@\"]", "[]"),
            ("[\"@\",\"@\",\"a\"]", "[\"a\"]"),
            ("[[[\"@\"],1,\"@\"],2]", "[[[],1],2]"),
            ("[{\"a\":[\"@\"],\"n\":\"@\"},2]", "[2]"),
            // Nothing names it.
            ("not a document", "not a document"),
            ("<L><Name>tapegate</L>", "<L><Name>tapegate</L>"),
        ] {
            assert_eq!(left(document).as_deref(), Ok(expected), "{document}");
        }
    }

    #[test]
    fn what_cannot_be_left_out_is_refused() {
        for document in [
            "<L><!-- @ --></L>",
            "<L name=\"@\"><B/></L>",
            "<L>@</L>",
            "<!DOCTYPE l><L><B>@</B></L>",
            "<L><B>@</C></L>",
            "{\"bucket\":\"@\"}",
            "[\"@",
            "]\"@\"",
            "@",
        ] {
            assert_eq!(left(document), Err(OverlayError::Form), "{document}");
        }
    }
}
