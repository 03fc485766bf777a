//! The aws-chunked framing, written: for a remote store, and for tests.

use super::TRAILER_SIGNATURE;
use crate::sigv4::SignatureChain;
use sha2::{Digest as _, Sha256};

/// Writes one body chunk by chunk.
#[derive(Debug)]
pub struct Encoder {
    chain: Option<SignatureChain>,
}

// === impl Encoder ===

impl Encoder {
    /// Chunks without signatures.
    pub const fn unsigned() -> Self {
        Self { chain: None }
    }

    /// Chunks signed from the request's signature on.
    pub const fn signed(chain: SignatureChain) -> Self {
        Self { chain: Some(chain) }
    }

    /// One chunk with these bytes; nothing for no bytes, since an empty chunk would end the body.
    pub fn chunk(&mut self, data: &[u8]) -> Vec<u8> {
        if data.is_empty() {
            return Vec::new();
        }
        let mut out = self.header(data);
        out.reserve(data.len() + 2);
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// The end of the body. `trailers` is None for the framing without them; names are lower case, sorted.
    pub fn finish(mut self, trailers: Option<&[(&str, &str)]>) -> Vec<u8> {
        let mut out = self.header(b"");
        if let Some(trailers) = trailers {
            let mut signed = String::new();
            for (name, value) in trailers {
                out.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
                signed.push_str(&format!("{name}:{value}\n"));
            }
            if let Some(chain) = &mut self.chain {
                let signature = chain.sign_trailer(&signed);
                out.extend_from_slice(format!("{TRAILER_SIGNATURE}:{signature}\r\n").as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
        out
    }

    fn header(&mut self, data: &[u8]) -> Vec<u8> {
        let size = data.len();
        match &mut self.chain {
            None => format!("{size:x}\r\n"),
            Some(chain) => {
                let signature = chain.sign_chunk(Sha256::digest(data).into());
                format!("{size:x};chunk-signature={signature}\r\n")
            }
        }
        .into_bytes()
    }
}
