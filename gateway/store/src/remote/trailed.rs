//! A body in unsigned chunks of one size with a checksum after them (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`), its
//! length on the wire known before its first byte.

use bytes::{Bytes, BytesMut};
use dialect::S3Error;
use dialect::aws_chunked::Encoder;
use dialect::checksum::{Algorithm, Checksum};
use http::HeaderMap;

/// Bytes in a chunk; the last one may be shorter.
const CHUNK_BYTES: usize = 256 << 10;

/// Puts one body into chunks.
pub(super) struct Trailed {
    algorithm: Algorithm,
    bytes: u64,
    encoder: Option<Encoder>,
    /// What is not in a chunk yet.
    held: BytesMut,
}

// === impl Trailed ===

impl Trailed {
    /// A body of `bytes` bytes, more than none, and the checksum that will follow.
    pub(super) fn new(algorithm: Algorithm, bytes: u64) -> Self {
        Self { algorithm, bytes, encoder: Some(Encoder::unsigned()), held: BytesMut::new() }
    }

    /// The checksum that `x-amz-trailer` announces, when it is the only trailer.
    pub(super) fn announced(headers: &HeaderMap) -> Option<Algorithm> {
        let mut values = headers.get_all("x-amz-trailer").iter();
        let (only, None) = (values.next()?, values.next()) else { return None };
        Algorithm::from_header(only.to_str().ok()?.trim())
    }

    /// Bytes of the whole with its framing.
    pub(super) fn wire_bytes(&self) -> u64 {
        let chunk_bytes = CHUNK_BYTES as u64;
        let (whole, rest) = (self.bytes / chunk_bytes, self.bytes % chunk_bytes);
        let chunk = |bytes: u64| if bytes == 0 { 0 } else { bytes + framing(bytes) };
        let value_bytes = self.algorithm.value_bytes().div_ceil(3) * 4;
        let trailer = self.algorithm.header().len() + ":\r\n".len() + value_bytes;
        whole * chunk(chunk_bytes) + chunk(rest) + ("0\r\n\r\n".len() + trailer) as u64
    }

    /// Takes bytes; gives out every whole chunk that others follow.
    pub(super) fn take(&mut self, mut data: &[u8]) -> Option<Bytes> {
        let encoder = self.encoder.as_mut()?;
        let mut out = Vec::new();
        while !data.is_empty() {
            if self.held.len() == CHUNK_BYTES {
                out.extend_from_slice(&encoder.chunk(&self.held));
                self.held.clear();
            }
            let (now, later) = data.split_at(data.len().min(CHUNK_BYTES - self.held.len()));
            self.held.extend_from_slice(now);
            data = later;
        }
        (!out.is_empty()).then(|| out.into())
    }

    /// The last chunk and the trailer.
    ///
    /// # Errors
    /// The trailer is not there or no checksum of the kind announced.
    pub(super) fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<Bytes, S3Error> {
        let header = self.algorithm.header();
        let value = trailers.and_then(|trailers| trailers.get(header)).and_then(|value| value.to_str().ok());
        let value = Checksum::parse(self.algorithm, value.unwrap_or_default().trim())?.to_base64();
        let mut encoder = self.encoder.take().unwrap_or_else(Encoder::unsigned);
        let mut out = encoder.chunk(&self.held);
        out.extend_from_slice(&encoder.finish(Some(&[(header, &value)])));
        Ok(out.into())
    }
}

/// Bytes of a chunk's length line and of its end.
fn framing(bytes: u64) -> u64 {
    let digits = u64::from((u64::BITS - bytes.leading_zeros()).div_ceil(4));
    digits + 4
}
