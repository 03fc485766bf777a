//! Secrets, signing keys derived from them, and the chain of signatures over a streaming body.

use super::date::AmzDate;
use super::hex_hash::HexHash;
use super::scope::Scope;
use super::{ALGORITHM, EMPTY_SHA256};
use aws_sigv4::sign::v4::generate_signing_key;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use subtle::ConstantTimeEq as _;

/// A secret access key. Its Debug form says nothing.
#[derive(Clone)]
pub struct Secret(String);

// === impl Secret ===

impl Secret {
    /// Wraps a secret so that it cannot be printed.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A signature: 64 lower-case hex digits.
#[derive(Clone, Copy)]
pub struct Signature(HexHash);

// === impl Signature ===

impl Signature {
    /// The hex digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Compares with what a client sent, in time that does not depend on where they differ.
    pub fn matches(&self, provided: &str) -> bool {
        self.as_str().as_bytes().ct_eq(provided.as_bytes()).into()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key good for one scope.
#[derive(Clone)]
pub(super) struct SigningKey([u8; 32]);

// === impl SigningKey ===

impl SigningKey {
    pub fn derive(secret: &Secret, date: AmzDate, scope: &Scope<'_>) -> Self {
        let key = generate_signing_key(&secret.0, date.timestamp().into(), scope.region, scope.service);
        Self(key.as_ref().try_into().expect("HMAC-SHA256 has 32 bytes"))
    }

    pub fn sign(&self, string_to_sign: &str) -> Signature {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any key will do");
        mac.update(string_to_sign.as_bytes());
        Signature(HexHash::from(<[u8; 32]>::from(mac.finalize().into_bytes())))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// Signing keys already derived, for one region and service: deriving costs four HMACs a request.
///
/// A key is found again only with the secret it was derived from, so a changed secret takes effect at once.
#[derive(Default)]
pub(super) struct KeyCache(Mutex<BTreeMap<String, KeysOfDay>>);

/// Keys of one day, by access key id.
type KeysOfDay = BTreeMap<String, (Secret, SigningKey)>;

// === impl KeyCache ===

impl KeyCache {
    /// The key of this secret for this scope. When full, an entry of the oldest day makes room.
    pub fn key(&self, access_key_id: &str, secret: &Secret, date: AmzDate, scope: &Scope<'_>) -> SigningKey {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, key)) = cache.get(scope.day).and_then(|keys| keys.get(access_key_id))
            && known.0.as_bytes().ct_eq(secret.0.as_bytes()).into()
        {
            return key.clone();
        }
        let key = SigningKey::derive(secret, date, scope);
        if cache.values().map(BTreeMap::len).sum::<usize>() >= CACHED_KEYS_MAX
            && let Some(mut oldest) = cache.first_entry()
        {
            oldest.get_mut().pop_first();
            if oldest.get().is_empty() {
                oldest.remove();
            }
        }
        let keys = cache.entry(scope.day.to_owned()).or_default();
        keys.insert(access_key_id.to_owned(), (secret.clone(), key.clone()));
        key
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyCache(..)")
    }
}

/// The signatures of a streaming body, each over the one before: request, chunks, trailer.
#[derive(Clone, Debug)]
pub struct SignatureChain {
    key: SigningKey,
    date: AmzDate,
    /// As it is signed.
    scope: String,
    previous: Signature,
}

/// A link of the chain does not fit: bytes were altered, or another key signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenLink {
    /// What should have been signed.
    pub string_to_sign: String,
    /// The signature that was sent.
    pub provided: String,
}

// === impl SignatureChain ===

impl SignatureChain {
    pub(super) fn new(key: SigningKey, date: AmzDate, scope: String, seed: Signature) -> Self {
        Self { key, date, scope, previous: seed }
    }

    /// The signature of the last link; at first that of the request.
    pub fn last(&self) -> &Signature {
        &self.previous
    }

    /// Signs the next chunk, whose bytes have this SHA-256.
    pub fn sign_chunk(&mut self, sha256: [u8; 32]) -> &Signature {
        self.previous = self.key.sign(&self.chunk_text(sha256));
        &self.previous
    }

    /// Signs the trailer part: its lines as `name:value\n`, sorted by name.
    pub fn sign_trailer(&mut self, lines: &str) -> &Signature {
        self.previous = self.key.sign(&self.trailer_text(lines));
        &self.previous
    }

    /// Checks the signature sent with the next chunk and moves on.
    ///
    /// # Errors
    /// [`BrokenLink`]; the chain stays where it was and the body must be refused.
    pub fn check_chunk(&mut self, sha256: [u8; 32], provided: &str) -> Result<(), BrokenLink> {
        self.check(self.chunk_text(sha256), provided)
    }

    /// Checks the signature sent with the trailer part.
    ///
    /// # Errors
    /// As for [`SignatureChain::check_chunk`].
    pub fn check_trailer(&mut self, lines: &str, provided: &str) -> Result<(), BrokenLink> {
        self.check(self.trailer_text(lines), provided)
    }

    fn check(&mut self, string_to_sign: String, provided: &str) -> Result<(), BrokenLink> {
        let signature = self.key.sign(&string_to_sign);
        if !signature.matches(provided) {
            return Err(BrokenLink { string_to_sign, provided: provided.to_owned() });
        }
        self.previous = signature;
        Ok(())
    }

    fn chunk_text(&self, sha256: [u8; 32]) -> String {
        let Self { date, scope, previous, .. } = self;
        let hash = HexHash::from(sha256);
        format!("{ALGORITHM}-PAYLOAD\n{date}\n{scope}\n{previous}\n{EMPTY_SHA256}\n{hash}")
    }

    fn trailer_text(&self, lines: &str) -> String {
        let Self { date, scope, previous, .. } = self;
        let hash = HexHash::from(<[u8; 32]>::from(Sha256::digest(lines)));
        format!("{ALGORITHM}-TRAILER\n{date}\n{scope}\n{previous}\n{hash}")
    }
}

/// More identities times days than a gateway sees; about 300 bytes each.
const CACHED_KEYS_MAX: usize = 4096;
