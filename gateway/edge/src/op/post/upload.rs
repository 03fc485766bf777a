//! The body of a form on its way: first the form, then its file as a body of known length.

use bytes::{Bytes, BytesMut};
use dialect::post_form::{Form, FormReader, LengthRange, Piece};
use dialect::{Code, S3Error};
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use model::body::full;
use model::limits::PUT_BYTES_MAX;
use model::{Body, BodyError};

use crate::body::sized;
use crate::error::{Error, Result};

/// Longest file that is held until it has ended, in bytes.
const HELD_BYTES_MAX: usize = 1 << 20;

/// A form being read.
pub(super) struct Upload {
    body: Body,
    /// None once the body has ended.
    reader: Option<FormReader>,
    /// What came and is not read yet.
    input: Bytes,
    /// Bytes that came.
    received: u64,
    /// Bytes of the whole body, when that is known.
    declared: Option<u64>,
}

/// A file on its way, whose last piece is held back until the form has ended well.
struct File {
    upload: Upload,
    /// What was read before.
    first: Option<Bytes>,
    held: Option<Bytes>,
    left: u64,
    over: bool,
}

// === impl Upload ===

impl Upload {
    /// Errors: `PreconditionFailed`, `MalformedPOSTRequest`.
    pub(super) fn new(headers: &HeaderMap, body: Body) -> Result<Self> {
        let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let reader = Some(FormReader::new(headers)?);
        Ok(Self { body, reader, input: Bytes::new(), received: 0, declared })
    }

    /// Everything before the file.
    pub(super) async fn form(&mut self) -> Result<Form> {
        match self.next().await? {
            Some(Piece::Form(form)) => Ok(form),
            _ => Err(Code::MalformedPOSTRequest.into()),
        }
    }

    /// The file and its length. Called once, after [`Self::form`].
    ///
    /// Errors: `EntityTooSmall`, `EntityTooLarge`; `MissingContentLength` for a long file of a body of unknown length.
    pub(super) async fn file(mut self, range: LengthRange) -> Result<(Body, u64)> {
        let length = self.length();
        let mut first = BytesMut::new();
        while let Some(piece) = self.next().await? {
            let Piece::File(bytes) = piece else { return Err(Code::MalformedPOSTRequest.into()) };
            first.extend_from_slice(&bytes);
            if first.len() > HELD_BYTES_MAX {
                let length = length.ok_or(Code::MissingContentLength)?;
                check(length, range)?;
                return Ok((File::body(self, first.freeze(), length), length));
            }
        }
        let length = first.len() as u64;
        check(length, range)?;
        Ok((full(first.freeze()), length))
    }

    /// How long a file is that begins here and is the last field.
    fn length(&self) -> Option<u64> {
        let end = self.reader.as_ref().map_or(0, FormReader::end_bytes) as u64;
        let begun = self.received - self.input.len() as u64;
        self.declared?.checked_sub(begun)?.checked_sub(end)
    }

    async fn next(&mut self) -> Result<Option<Piece>> {
        loop {
            let Some(reader) = &mut self.reader else { return Ok(None) };
            if let Some(piece) = reader.read(&mut self.input)? {
                return Ok(Some(piece));
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(Error::ReadBody)?.into_data() {
                        self.received += data.len() as u64;
                        self.input = data;
                    }
                }
                None => {
                    let reader = self.reader.take().ok_or(Code::MalformedPOSTRequest)?;
                    reader.finish()?;
                }
            }
        }
    }
}

// === impl File ===

impl File {
    fn body(upload: Upload, first: Bytes, length: u64) -> Body {
        let file = Self { upload, first: Some(first), held: None, left: length, over: false };
        let pieces = stream::unfold(file, |mut file| async move {
            if file.over {
                return None;
            }
            let piece = file.piece().await;
            file.over = piece.is_err();
            piece.transpose().map(|piece| (piece, file))
        });
        sized(Box::pin(pieces), length)
    }

    async fn piece(&mut self) -> std::result::Result<Option<Bytes>, BodyError> {
        loop {
            let next = match self.first.take() {
                Some(first) => Some(first),
                None => match self.upload.next().await.map_err(broken)? {
                    Some(Piece::File(bytes)) => Some(bytes),
                    _ => None,
                },
            };
            let Some(next) = next else {
                // The length was what every client's form comes to; this one ended in another way.
                let whole = self.left == 0;
                return if whole { Ok(self.held.take()) } else { Err(refused(Code::MalformedPOSTRequest)) };
            };
            let left = self.left.checked_sub(next.len() as u64);
            self.left = left.ok_or_else(|| refused(Code::MalformedPOSTRequest))?;
            if let Some(before) = self.held.replace(next) {
                return Ok(Some(before));
            }
        }
    }
}

fn check(bytes: u64, range: LengthRange) -> Result<()> {
    let refused = |code, limit, allowed: u64| {
        let error = S3Error::new(code).extra("ProposedSize", bytes.to_string());
        Err(error.extra(limit, allowed.to_string()).into())
    };
    let most = range.most.min(PUT_BYTES_MAX);
    if bytes < range.least {
        return refused(Code::EntityTooSmall, "MinSizeAllowed", range.least);
    }
    if bytes > most {
        return refused(Code::EntityTooLarge, "MaxSizeAllowed", most);
    }
    Ok(())
}

/// What a reader of the file is told when the form goes wrong on the way.
fn broken(error: Error) -> BodyError {
    match error {
        Error::ReadBody(error) => error,
        Error::Refused(error) => refused(error.code),
        other => BodyError::Broken(std::io::Error::other(other)),
    }
}

fn refused(code: Code) -> BodyError {
    BodyError::Refused { code: code.as_str(), message: code.message().to_owned(), extras: Vec::new() }
}
