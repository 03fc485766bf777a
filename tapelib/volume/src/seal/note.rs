//! Notes: byte strings sealed in one piece, bound to what they are about.
//!
//! Each has a data key of its own. The length is hidden up to the next 512 bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use super::cipher::Provider;
use super::error::Error;
use super::header::nonce;
use super::key::{KeyMark, KeySource, SealingKey, Secret};
use super::slot::{self, SLOT_BYTES};
use super::{Kind, TAG_BYTES, check_preamble, preamble};

/// Longest note, before sealing: the manifest of the largest pack is far below.
pub const BYTES_MAX: u64 = 192 << 20;

const SLOT_AT: usize = 12;
const HEADER_BYTES: usize = SLOT_AT + SLOT_BYTES;
const LENGTH_BYTES: usize = 4;
/// How the magic of everything sealed begins in base64.
const TEXT_START: &str = "dGdzZWFsZW";
const PADDED_TO: usize = 512;

const _: () = assert!(BYTES_MAX <= u32::MAX as u64);

/// Seals `bytes`. They can only be opened with the same `about`, which says what they are and of whom, such as
/// `record 01J...`; it is not secret and not stored.
pub fn seal(key: &SealingKey, about: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| u64::from(*length) <= BYTES_MAX);
    let length = length.ok_or(Error::TooLong { bytes: bytes.len() as u64, limit: BYTES_MAX })?;
    let data_key = Secret::fresh()?;
    let mut note = Vec::with_capacity(HEADER_BYTES + LENGTH_BYTES + bytes.len() + PADDED_TO + TAG_BYTES);
    note.extend_from_slice(&preamble(Kind::Note));
    note.extend_from_slice(&slot::wrap(key, &data_key, &preamble(Kind::Note))?);
    let bound = bound(&note, about);
    note.extend_from_slice(&length.to_be_bytes());
    note.extend_from_slice(bytes);
    note.resize(HEADER_BYTES + (note.len() - HEADER_BYTES).next_multiple_of(PADDED_TO), 0);
    let tag = Provider::Bulk.cipher(&data_key).seal(nonce(0), &bound, &mut note[HEADER_BYTES..]);
    note.extend_from_slice(&tag);
    Ok(note)
}

/// Opens what [`seal`] made, for the same `about`.
pub fn open(keys: &dyn KeySource, about: &str, note: &[u8]) -> Result<Vec<u8>, Error> {
    open_with(keys, about, note, Provider::Bulk)
}

/// [`open`] with a choice of the implementation.
pub fn open_with(
    keys: &dyn KeySource,
    about: &str,
    note: &[u8],
    provider: Provider,
) -> Result<Vec<u8>, Error> {
    let (head, sealed) = split(note)?;
    let (_, data_key) = slot::unwrap(keys, slot_of(head), &head[..SLOT_AT])?;
    let mut sealed = sealed.to_vec();
    let damaged = || Error::Damaged { block: 0 };
    let plain = provider.cipher(&data_key).open(nonce(0), &bound(head, about), &mut sealed);
    let (length, bytes) =
        plain.map_err(|_| damaged())?.split_first_chunk::<LENGTH_BYTES>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged())?;
    bytes.get(..length).map(<[u8]>::to_vec).ok_or_else(damaged)
}

/// The key a note is sealed with, which need not be at hand.
pub fn mark_of(note: &[u8]) -> Result<KeyMark, Error> {
    slot::mark_of(slot_of(split(note)?.0))
}

/// Seals a text into a text, base64 without padding.
pub fn seal_text(key: &SealingKey, about: &str, text: &str) -> Result<String, Error> {
    Ok(BASE64.encode(seal(key, about, text.as_bytes())?))
}

/// A text that [`seal_text`] may have made: opened if it did, as it is if not.
pub fn read_text(keys: &dyn KeySource, about: &str, text: String) -> Result<String, Error> {
    if text.starts_with(TEXT_START) { open_text(keys, about, &text) } else { Ok(text) }
}

/// Opens what [`seal_text`] made.
pub fn open_text(keys: &dyn KeySource, about: &str, sealed: &str) -> Result<String, Error> {
    let note = BASE64.decode(sealed).map_err(|_| Error::NotSealed { why: "it is no base64" })?;
    String::from_utf8(open(keys, about, &note)?).map_err(|_| Error::NotSealed { why: "it holds no text" })
}

/// Header and the rest of a note.
fn split(note: &[u8]) -> Result<(&[u8; HEADER_BYTES], &[u8]), Error> {
    check_preamble(note, Kind::Note)?;
    note.split_first_chunk().ok_or(Error::NotSealed { why: "its header is cut" })
}

fn slot_of(head: &[u8; HEADER_BYTES]) -> &[u8; SLOT_BYTES] {
    head.last_chunk().expect("the slot ends the header")
}

/// What the bytes are bound to: the header, and what they are about.
fn bound(head: &[u8], about: &str) -> Vec<u8> {
    [head, about.as_bytes()].concat()
}
