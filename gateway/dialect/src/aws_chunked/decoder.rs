//! The aws-chunked framing, decoded as it arrives.
//!
//! ```text
//! Header --size>0--> Data --all bytes, signature good--> DataEnd --CRLF--> Header
//!        --size=0, signature good--> Trailer --everything announced, blank line--> End
//! ```

use super::{LINE_BYTES_MAX, PayloadError, SIGNED_CHUNK_BYTES_MAX, TRAILER_SIGNATURE, TRAILERS_MAX};
use crate::sigv4::SignatureChain;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use model::limits::CHUNK_BYTES_MAX;
use sha2::{Digest as _, Sha256};

/// Which of the three framings a body has.
#[derive(Debug)]
pub enum Framing {
    /// Chunks without signatures; trailers as announced.
    Unsigned,
    /// Chunks signed from this chain on.
    Signed {
        /// Starts at the request's signature.
        chain: Box<SignatureChain>,
        /// Whether a signed trailer part follows.
        trailer: bool,
    },
}

/// Decodes one body. After an error it must not be fed again.
#[derive(Debug)]
pub struct Decoder {
    state: State,
    framing: Framing,
    /// Decoded bytes still to come.
    remaining_bytes: u64,
    /// The line being gathered.
    line: Vec<u8>,
    /// The signed chunk being gathered, when it did not arrive in one piece.
    held: BytesMut,
    /// What is left of a signed chunk already checked.
    verified: Bytes,
    announced: Vec<HeaderName>,
    trailers: HeaderMap,
    trailer_signed: bool,
    blank_seen: bool,
}

#[derive(Debug)]
enum State {
    Header,
    Data { left_bytes: u64, check: Option<Check> },
    DataEnd,
    Trailer,
    End,
}

/// What a signed chunk is checked with once its last byte is there.
#[derive(Debug)]
struct Check {
    sha256: Sha256,
    provided: String,
}

// === impl Decoder ===

impl Decoder {
    /// A decoder for a body of so many decoded bytes with these trailers announced.
    ///
    /// # Errors
    /// [`PayloadError::TrailerNotPossible`] when trailers are announced on a framing without them,
    /// [`PayloadError::TrailerMalformed`] when there are too many.
    pub fn new(
        framing: Framing,
        decoded_bytes: u64,
        announced: Vec<HeaderName>,
    ) -> Result<Self, PayloadError> {
        if !announced.is_empty() && matches!(framing, Framing::Signed { trailer: false, .. }) {
            return Err(PayloadError::TrailerNotPossible);
        }
        if announced.len() > TRAILERS_MAX {
            return Err(PayloadError::TrailerMalformed);
        }
        Ok(Self {
            state: State::Header,
            framing,
            remaining_bytes: decoded_bytes,
            line: Vec::new(),
            held: BytesMut::new(),
            verified: Bytes::new(),
            announced,
            trailers: HeaderMap::new(),
            trailer_signed: false,
            blank_seen: false,
        })
    }

    /// Takes from the front of `input` until a decoded piece is ready (never empty, at most
    /// [`CHUNK_BYTES_MAX`] long) or the input is used up. Call again with the rest of the same input until it
    /// answers None.
    ///
    /// # Errors
    /// [`PayloadError`] for a broken framing, a wrong signature, a chunk too large or more bytes than declared.
    pub fn decode(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, PayloadError> {
        if let Some(piece) = release(&mut self.verified) {
            return Ok(Some(piece));
        }
        while !input.is_empty() {
            if let State::Data { .. } = self.state {
                if let Some(piece) = self.data(input)? {
                    return Ok(Some(piece));
                }
                continue;
            }
            if let State::End = self.state {
                return Err(PayloadError::Malformed { reason: "data after the last chunk" });
            }
            let Some(line) = self.gather_line(input)? else {
                return Ok(None);
            };
            self.line(&line)?;
        }
        Ok(None)
    }

    /// Ends the body and gives its trailers: those announced, no others, each once.
    ///
    /// # Errors
    /// [`PayloadError::Incomplete`] when the framing did not come to its end.
    pub fn finish(self) -> Result<HeaderMap, PayloadError> {
        match self.state {
            State::End => Ok(self.trailers),
            State::Header | State::Data { .. } | State::DataEnd | State::Trailer => {
                Err(PayloadError::Incomplete)
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), PayloadError> {
        match self.state {
            State::Header => self.header(line),
            State::DataEnd if line == b"\r" => {
                self.state = State::Header;
                Ok(())
            }
            State::DataEnd => Err(PayloadError::Malformed { reason: "no line end after a chunk" }),
            State::Trailer => self.trailer(line),
            State::Data { .. } | State::End => unreachable!("only states that read lines come here"),
        }
    }

    /// Takes input up to a line feed, which is not part of the line; None when there is none yet.
    fn gather_line(&mut self, input: &mut Bytes) -> Result<Option<Vec<u8>>, PayloadError> {
        let end = input.iter().take(LINE_BYTES_MAX + 1).position(|byte| *byte == b'\n');
        let part = input.split_to(end.unwrap_or(input.len().min(LINE_BYTES_MAX + 1)));
        if self.line.len() + part.len() > LINE_BYTES_MAX {
            return Err(PayloadError::LineTooLong);
        }
        self.line.extend_from_slice(&part);
        if end.is_none() {
            return Ok(None);
        }
        let _line_feed = input.split_to(1);
        Ok(Some(std::mem::take(&mut self.line)))
    }

    fn header(&mut self, line: &[u8]) -> Result<(), PayloadError> {
        let malformed = PayloadError::Malformed { reason: "a chunk header cannot be read" };
        let line = line.strip_suffix(b"\r").and_then(|line| std::str::from_utf8(line).ok());
        let line = line.ok_or_else(|| malformed.clone())?;
        let (size, extensions) = line.split_once(';').unwrap_or((line, ""));
        let digits = (1..=16).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = if digits { u64::from_str_radix(size, 16).ok() } else { None };
        let size = size.ok_or(malformed)?;
        let check = match &self.framing {
            Framing::Unsigned => None,
            Framing::Signed { .. } if size > SIGNED_CHUNK_BYTES_MAX => {
                return Err(PayloadError::ChunkTooLarge);
            }
            Framing::Signed { .. } => {
                let mut extensions = extensions.split(';').map(str::trim);
                let provided = extensions.find_map(|extension| extension.strip_prefix("chunk-signature="));
                let provided = provided.ok_or(PayloadError::Malformed { reason: "a chunk is not signed" })?;
                Some(Check { sha256: Sha256::new(), provided: provided.to_owned() })
            }
        };
        self.remaining_bytes = self.remaining_bytes.checked_sub(size).ok_or(PayloadError::TooLong)?;
        if size > 0 {
            self.state = State::Data { left_bytes: size, check };
            return Ok(());
        }
        if self.remaining_bytes > 0 {
            return Err(PayloadError::Incomplete);
        }
        self.state = State::Trailer;
        self.check_chunk(check)
    }

    /// Takes bytes of the current chunk.
    fn data(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, PayloadError> {
        let State::Data { left_bytes, check } = &mut self.state else {
            unreachable!("only called inside a chunk");
        };
        let taken = usize::try_from(*left_bytes).map_or(input.len(), |left| left.min(input.len()));
        // Unsigned bytes go straight out, so they are cut here; signed ones when they are released.
        let taken = if check.is_none() { taken.min(CHUNK_BYTES_MAX) } else { taken };
        let piece = input.split_to(taken);
        *left_bytes -= piece.len() as u64;
        let ended = *left_bytes == 0;
        let Some(signed) = check else {
            if ended {
                self.state = State::DataEnd;
            }
            return Ok(Some(piece));
        };
        signed.sha256.update(&piece);
        if !ended {
            self.held.extend_from_slice(&piece);
            return Ok(None);
        }
        let check = check.take();
        self.state = State::DataEnd;
        self.check_chunk(check)?;
        self.verified = if self.held.is_empty() {
            piece
        } else {
            self.held.extend_from_slice(&piece);
            std::mem::take(&mut self.held).freeze()
        };
        Ok(release(&mut self.verified))
    }

    fn check_chunk(&mut self, check: Option<Check>) -> Result<(), PayloadError> {
        match (&mut self.framing, check) {
            (Framing::Signed { chain, .. }, Some(Check { sha256, provided })) => {
                Ok(chain.check_chunk(sha256.finalize().into(), &provided)?)
            }
            (Framing::Unsigned, _) => Ok(()),
            (Framing::Signed { .. }, None) => unreachable!("a signed chunk has its check"),
        }
    }

    /// Reads one line after the last chunk. A blank line ends the body once everything announced is there; one
    /// earlier is let pass, since some clients write it before the trailers or before their signature.
    fn trailer(&mut self, line: &[u8]) -> Result<(), PayloadError> {
        // A trailer is signed and handed on as text: anything but ASCII could not be either.
        let line = std::str::from_utf8(line).ok().filter(|line| line.is_ascii());
        let line = line.ok_or(PayloadError::TrailerMalformed)?.trim_ascii();
        if line.is_empty() {
            if self.complete() {
                self.state = State::End;
            } else if std::mem::replace(&mut self.blank_seen, true) {
                return Err(PayloadError::TrailerMalformed);
            }
            return Ok(());
        }
        let (name, value) = line.split_once(':').ok_or(PayloadError::TrailerMalformed)?;
        let value = value.trim_ascii();
        if self.trailer_signed {
            return Err(PayloadError::TrailerMalformed);
        }
        if let Framing::Signed { chain, trailer: true } = &mut self.framing
            && name.eq_ignore_ascii_case(TRAILER_SIGNATURE)
        {
            chain.check_trailer(&signed_text(&self.trailers), value)?;
            self.trailer_signed = true;
            return Ok(());
        }
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| PayloadError::TrailerMalformed)?;
        let value = HeaderValue::from_str(value).map_err(|_| PayloadError::TrailerMalformed)?;
        if !self.announced.contains(&name) || self.trailers.insert(name, value).is_some() {
            return Err(PayloadError::TrailerMalformed);
        }
        Ok(())
    }

    fn complete(&self) -> bool {
        let signature_due = matches!(self.framing, Framing::Signed { trailer: true, .. });
        self.trailers.len() == self.announced.len() && (self.trailer_signed || !signature_due)
    }
}

/// What the trailer signature covers.
fn signed_text(trailers: &HeaderMap) -> String {
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}:{}\n", value.to_str().expect("a trailer line is ASCII"))
    };
    let mut lines: Vec<String> = trailers.iter().map(line).collect();
    lines.sort_unstable();
    lines.concat()
}

/// Cuts the next piece off bytes that may go out; None when there are none.
pub(super) fn release(bytes: &mut Bytes) -> Option<Bytes> {
    let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES_MAX));
    (!piece.is_empty()).then_some(piece)
}

/// The trailers a request announces in `x-amz-trailer`, each once.
///
/// # Errors
/// [`PayloadError::HeaderInvalid`] when it is no list of header names.
pub(super) fn announced(headers: &HeaderMap) -> Result<Vec<HeaderName>, PayloadError> {
    let invalid = || PayloadError::HeaderInvalid { name: "x-amz-trailer" };
    let mut names = Vec::new();
    for value in headers.get_all("x-amz-trailer") {
        let value = value.to_str().map_err(|_| invalid())?;
        for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
            if names.contains(&name) || name.as_str() == TRAILER_SIGNATURE {
                return Err(invalid());
            }
            names.push(name);
        }
    }
    Ok(names)
}
