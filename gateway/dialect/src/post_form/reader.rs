//! `multipart/form-data` (RFC 2046 5.1, RFC 7578), read as it arrives.
//!
//! ```text
//! Preamble --delimiter--> Line --empty--> Headers --blank line--> Value --delimiter--> Line
//!                          '--"--"--> no file: refused    '--the part is the file--> File --delimiter--> End
//! ```

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use model::limits::CHUNK_BYTES_MAX;

use super::{FIELDS_BYTES_MAX, Form};
use crate::error::{Code, Result, S3Error};

/// Reads the body of one form. After an error it must not be fed again.
#[derive(Debug)]
pub struct FormReader {
    /// Line end, two hyphens, boundary: what ends every part.
    delimiter: Vec<u8>,
    state: State,
    /// How many bytes of the delimiter were seen at the end of what was read. A line end stands only at its start,
    /// so that a beginning that does not go on is no part of another one.
    matched: usize,
    /// The line or the value being gathered.
    gathered: Vec<u8>,
    fields: BTreeMap<String, String>,
    /// Bytes that may still come before the file.
    fields_bytes_left: usize,
}

/// What a body holds, in its order: the form once, then the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Everything before the file.
    Form(Form),
    /// The next bytes of the file, never none, at most [`CHUNK_BYTES_MAX`].
    File(Bytes),
}

#[derive(Debug)]
enum State {
    Preamble,
    Line,
    Headers(Part),
    Value { name: String },
    File,
    End,
}

/// What the headers of a part say.
#[derive(Debug, Default)]
struct Part {
    name: Option<String>,
    file_name: Option<String>,
}

// === impl FormReader ===

impl FormReader {
    /// A reader for a body with these headers.
    ///
    /// Errors: `PreconditionFailed` when it is no form, `MalformedPOSTRequest` when its boundary is none.
    pub fn new(headers: &HeaderMap) -> Result<Self> {
        let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (kind, parameters) = value.split_at(value.find(';').unwrap_or(value.len()));
        if !kind.trim_ascii().eq_ignore_ascii_case("multipart/form-data") {
            return Err(S3Error::precondition_failed(NOT_MULTIPART));
        }
        let boundary = parameter(parameters.as_bytes(), b"boundary").unwrap_or_default();
        let legal = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        if !(1..=70).contains(&boundary.len()) || !boundary.iter().all(legal) {
            return Err(malformed());
        }
        Ok(Self {
            delimiter: [b"\r\n--", &boundary[..]].concat(),
            state: State::Preamble,
            // The body begins as if a line had ended.
            matched: 2,
            gathered: Vec::new(),
            fields: BTreeMap::new(),
            fields_bytes_left: FIELDS_BYTES_MAX,
        })
    }

    /// Takes from the front of `input` until a piece is ready or the input is used up. Call again with the rest of the
    /// same input until it answers None.
    ///
    /// Errors: `MalformedPOSTRequest`, `MaxPostPreDataLengthExceededError` (more than [`FIELDS_BYTES_MAX`] before the
    /// file), `InvalidArgument` (the body ended without a file).
    pub fn read(&mut self, input: &mut Bytes) -> Result<Option<Piece>> {
        while !input.is_empty() {
            match self.state {
                State::End => input.clear(),
                State::File => {
                    if let Some(piece) = self.file(input) {
                        return Ok(Some(Piece::File(piece)));
                    }
                }
                State::Preamble | State::Line | State::Headers(_) | State::Value { .. } => {
                    if let Some(form) = self.before_file(input)? {
                        return Ok(Some(Piece::Form(form)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// How many bytes follow a file that stands last, in the form every client ends a body in.
    pub fn end_bytes(&self) -> usize {
        self.delimiter.len() + "--\r\n".len()
    }

    /// Ends the body.
    ///
    /// Errors: `MalformedPOSTRequest` when the file did not come to its end.
    pub fn finish(self) -> Result<()> {
        match self.state {
            State::End => Ok(()),
            _ => Err(malformed()),
        }
    }

    /// Takes bytes before the file: at most what may still come there.
    fn before_file(&mut self, input: &mut Bytes) -> Result<Option<Form>> {
        if self.fields_bytes_left == 0 {
            return Err(S3Error::new(Code::MaxPostPreDataLengthExceededError)
                .extra("MaxSizeAllowed", FIELDS_BYTES_MAX.to_string()));
        }
        let before = input.len();
        let mut window = input.slice(..before.min(self.fields_bytes_left));
        let form = match &self.state {
            State::Line | State::Headers(_) => match self.line(&mut window) {
                Some(line) => self.head(&line)?,
                None => None,
            },
            _ => {
                self.value(&mut window)?;
                None
            }
        };
        let taken = before.min(self.fields_bytes_left) - window.len();
        input.advance(taken);
        self.fields_bytes_left -= taken;
        Ok(form)
    }

    /// A line without its end, once it is whole.
    fn line(&mut self, input: &mut Bytes) -> Option<Vec<u8>> {
        let end = input.iter().position(|byte| *byte == b'\n');
        self.gathered.extend_from_slice(&input.split_to(end.unwrap_or(input.len())));
        end?;
        input.advance(1);
        let mut line = std::mem::take(&mut self.gathered);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }

    /// Reads the rest of a delimiter's line, or a line of a part's headers.
    fn head(&mut self, line: &[u8]) -> Result<Option<Form>> {
        match &mut self.state {
            State::Line if line.starts_with(b"--") => {
                let message = "POST requires exactly one file upload per request.";
                return Err(S3Error::argument(message, "file", "0"));
            }
            State::Line if line.trim_ascii().is_empty() => self.state = State::Headers(Part::default()),
            State::Headers(part) if !line.is_empty() => part.header(line)?,
            State::Headers(part) => {
                let Part { name, file_name } = std::mem::take(part);
                let name = name.ok_or_else(malformed)?.to_ascii_lowercase();
                if name != "file" {
                    self.state = State::Value { name };
                    return Ok(None);
                }
                self.state = State::File;
                let fields = std::mem::take(&mut self.fields);
                return Ok(Some(Form::new(fields, file_name.as_deref().unwrap_or_default())));
            }
            _ => return Err(malformed()),
        }
        Ok(None)
    }

    /// Takes bytes of the preamble or of a field's value.
    fn value(&mut self, input: &mut Bytes) -> Result<()> {
        let Scan { before, ended } = self.scan(input);
        if let State::Value { .. } = self.state {
            self.gathered.extend_from_slice(&before);
        }
        if !ended {
            return Ok(());
        }
        if let State::Value { name } = std::mem::replace(&mut self.state, State::Line) {
            let value = String::from_utf8(std::mem::take(&mut self.gathered)).map_err(|_| malformed())?;
            self.fields
                .entry(name)
                .and_modify(|known| {
                    known.push(',');
                    known.push_str(&value);
                })
                .or_insert(value);
        }
        Ok(())
    }

    /// Takes bytes of the file.
    fn file(&mut self, input: &mut Bytes) -> Option<Bytes> {
        let Scan { before, ended } = self.scan(input);
        if ended {
            self.state = State::End;
        }
        (!before.is_empty()).then_some(before)
    }

    /// Takes bytes up to the next delimiter and the delimiter itself, or as far as the input goes.
    fn scan(&mut self, input: &mut Bytes) -> Scan {
        if self.matched > 0 {
            let (seen, wanted) = self.delimiter.split_at(self.matched);
            let more = wanted.len().min(input.len());
            if input[..more] != wanted[..more] {
                let before = Bytes::copy_from_slice(seen);
                self.matched = 0;
                return Scan { before, ended: false };
            }
            input.advance(more);
            self.matched += more;
            let ended = self.matched == self.delimiter.len();
            if ended {
                self.matched = 0;
            }
            return Scan { before: Bytes::new(), ended };
        }
        let window = &input[..input.len().min(CHUNK_BYTES_MAX)];
        let starts = window.iter().enumerate().filter(|(_, byte)| **byte == b'\r');
        for (at, _) in starts {
            let common = self.delimiter.len().min(input.len() - at);
            if input[at..at + common] == self.delimiter[..common] {
                let before = input.split_to(at);
                input.advance(common);
                let ended = common == self.delimiter.len();
                self.matched = if ended { 0 } else { common };
                return Scan { before, ended };
            }
        }
        Scan { before: input.split_to(window.len()), ended: false }
    }
}

/// What one look for a delimiter found.
struct Scan {
    before: Bytes,
    ended: bool,
}

// === impl Part ===

impl Part {
    /// Reads a header of a part; only Content-Disposition says something.
    fn header(&mut self, line: &[u8]) -> Result<()> {
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(malformed)?;
        if !line[..colon].trim_ascii().eq_ignore_ascii_case(b"content-disposition") {
            return Ok(());
        }
        let value = &line[colon + 1..];
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| malformed());
        let rest = value.iter().position(|byte| *byte == b';').map_or(&[][..], |at| &value[at..]);
        self.name = parameter(rest, b"name").map(text).transpose()?;
        self.file_name = parameter(rest, b"filename").map(text).transpose()?;
        Ok(())
    }
}

/// The value of a parameter in `; name=value; name="quoted value"`; a backslash quotes a quote.
fn parameter(text: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start().strip_prefix(b";")?.trim_ascii_start();
        let equals = rest.iter().position(|byte| matches!(byte, b'=' | b';'))?;
        let name = rest[..equals].trim_ascii();
        if rest[equals] == b';' {
            rest = &rest[equals..];
            continue;
        }
        let (value, after) = parameter_value(&rest[equals + 1..])?;
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

fn parameter_value(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let (value, after) = text.split_at(text.iter().position(|byte| *byte == b';').unwrap_or(text.len()));
        return Some((value.trim_ascii().to_vec(), after));
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some((value, &quoted[at + 1..])),
            b'\\' if quoted.get(at + 1) == Some(&b'"') => {
                value.push(b'"');
                bytes.next();
            }
            other => value.push(*other),
        }
    }
    None
}

fn malformed() -> S3Error {
    Code::MalformedPOSTRequest.into()
}

const NOT_MULTIPART: &str = "Bucket POST must be of the enclosure-type multipart/form-data";
