//! The little XML that LTFS needs: a writer that streams and a pull reader with bounds.

use std::io::{self, BufRead, Write};

use quick_xml::Reader;
use quick_xml::escape::{minimal_escape, resolve_predefined_entity};
use quick_xml::events::Event;

use super::limits::TEXT_BYTES_MAX;
use super::name;

// === impl Writer ===

/// Writes elements, one on each line, in UTF-8.
pub struct Writer<W> {
    out: W,
}

impl<W: Write> Writer<W> {
    /// Writes the XML declaration.
    pub fn start(mut out: W) -> io::Result<Self> {
        out.write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
        Ok(Self { out })
    }

    /// Opens the root element with its format version.
    pub fn open_versioned(&mut self, name: &str, version: &str) -> io::Result<()> {
        writeln!(self.out, "<{name} version=\"{version}\">")
    }

    /// Opens an element that has children.
    pub fn open(&mut self, name: &str) -> io::Result<()> {
        writeln!(self.out, "<{name}>")
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) -> io::Result<()> {
        writeln!(self.out, "</{name}>")
    }

    /// Writes an element that holds text.
    pub fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        writeln!(self.out, "<{name}>{}</{name}>", minimal_escape(text))
    }

    /// Writes an element that holds a number.
    pub fn number(&mut self, name: &str, number: u64) -> io::Result<()> {
        writeln!(self.out, "<{name}>{number}</{name}>")
    }

    /// Writes an element that holds a file name, key or link target; percent encoded where it must be.
    pub fn name(&mut self, element: &str, text: &str) -> io::Result<()> {
        match name::encode(text) {
            None => self.text(element, text),
            Some(encoded) => {
                writeln!(
                    self.out,
                    "<{element} percentencoded=\"true\">{}</{element}>",
                    minimal_escape(&*encoded)
                )
            }
        }
    }

    /// Gives back what was written to.
    pub fn finish(self) -> io::Result<W> {
        Ok(self.out)
    }
}

// === impl Element and Events ===

/// An element that was opened.
#[derive(Clone, Debug)]
pub struct Element {
    name: String,
    percent_encoded: bool,
    base64: bool,
}

impl Element {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Pulls elements out of a document.
pub struct Events<R> {
    reader: Reader<R>,
    buffer: Vec<u8>,
}

impl<R: BufRead> Events<R> {
    /// Reads from `input`, whose length the caller bounds.
    pub fn new(input: R) -> Self {
        let mut reader = Reader::from_reader(input);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new() }
    }

    /// Opens the root: its name must match and its version be 1.0 to 2.x.
    pub fn root(&mut self, name: &str) -> Result<(), String> {
        loop {
            self.buffer.clear();
            match self.reader.read_event_into(&mut self.buffer).map_err(|error| error.to_string())? {
                Event::Start(start) if start.name().as_ref() == name => {
                    let version = start.try_get_attribute("version").map_err(|error| error.to_string())?;
                    let version = version.map(|attribute| attribute.value.into_owned()).unwrap_or_default();
                    return match version.split_once('.') {
                        Some(("1" | "2", _)) => Ok(()),
                        _ => Err(format!("format version {version:?} is not 1 or 2")),
                    };
                }
                Event::Decl(_) | Event::Comment(_) => {}
                Event::Text(text) if text.trim().is_empty() => {}
                _ => return Err(format!("the document does not begin with <{name}>")),
            }
        }
    }

    /// The next child of the element that is open, or `None` when that element ends here. The caller takes a child
    /// up to its end with `text`, `skip`, or `child` until `None`.
    pub fn child(&mut self) -> Result<Option<Element>, String> {
        loop {
            self.buffer.clear();
            match self.reader.read_event_into(&mut self.buffer).map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    let mut element = Element {
                        name: start.name().as_ref().to_owned(),
                        percent_encoded: false,
                        base64: false,
                    };
                    // Repeated attributes do no harm, and looking for them costs the square of their number.
                    for attribute in start.attributes().with_checks(false) {
                        let attribute = attribute.map_err(|error| error.to_string())?;
                        match (attribute.key.as_ref(), &*attribute.value) {
                            ("percentencoded", "true") => element.percent_encoded = true,
                            ("type", "base64") => element.base64 = true,
                            _ => {}
                        }
                    }
                    return Ok(Some(element));
                }
                Event::End(_) => return Ok(None),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if text.trim().is_empty() => {}
                Event::Eof => return Err("the document ends early".to_owned()),
                _ => return Err("text, a document type or an entity where an element belongs".to_owned()),
            }
        }
    }

    /// Sees that nothing follows the root element. What does is no part of this document: a torn index with blocks of
    /// something else behind it must not be taken for one that is whole.
    pub fn end(&mut self) -> Result<(), String> {
        loop {
            self.buffer.clear();
            match self.reader.read_event_into(&mut self.buffer).map_err(|error| error.to_string())? {
                Event::Eof => return Ok(()),
                Event::Comment(_) | Event::PI(_) => {}
                Event::Text(text) if text.trim().is_empty() => {}
                _ => return Err("something follows the document".to_owned()),
            }
        }
    }

    /// The text of a child, which must hold nothing else.
    pub fn text(&mut self, element: &Element) -> Result<String, String> {
        let mut text = String::new();
        loop {
            self.buffer.clear();
            match self.reader.read_event_into(&mut self.buffer).map_err(|error| error.to_string())? {
                Event::Text(part) => text.push_str(&part.xml10_content()),
                Event::CData(part) => text.push_str(&part.xml10_content()),
                Event::GeneralRef(reference) => {
                    match reference.resolve_char_ref().map_err(|error| error.to_string())? {
                        Some(character) => text.push(character),
                        None => text.push_str(
                            resolve_predefined_entity(&reference)
                                .ok_or_else(|| format!("entity &{}; is not known", &*reference))?,
                        ),
                    }
                }
                Event::Comment(_) => {}
                Event::End(_) => break,
                _ => return Err(format!("<{}> holds more than text", element.name)),
            }
            if text.len() > TEXT_BYTES_MAX {
                return Err(format!("<{}> is longer than {TEXT_BYTES_MAX} bytes", element.name));
            }
        }
        if element.percent_encoded { name::decode(&text) } else { Ok(text) }
    }

    /// The text of a child as a number.
    pub fn number(&mut self, element: &Element) -> Result<u64, String> {
        let text = self.text(element)?;
        text.trim().parse().map_err(|_| format!("<{}> is not a number: {text:?}", element.name))
    }

    /// The value of an extended attribute; `None` when it is binary, which this room has no use for.
    pub fn value(&mut self, element: &Element) -> Result<Option<String>, String> {
        let text = self.text(element)?;
        Ok((!element.base64).then_some(text))
    }

    /// Passes over a child and everything in it.
    pub fn skip(&mut self, element: &Element) -> Result<(), String> {
        let mut depth = 1_u32;
        while depth > 0 {
            self.buffer.clear();
            match self.reader.read_event_into(&mut self.buffer).map_err(|error| error.to_string())? {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(format!("the document ends inside <{}>", element.name)),
                _ => {}
            }
        }
        Ok(())
    }
}
