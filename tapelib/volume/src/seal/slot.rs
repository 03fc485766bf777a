//! The key slot: a data key, wrapped, and by which key.
//!
//! | at | bytes | field |
//! | --- | --- | --- |
//! | 0 | 64 | name of the sealing key, padded with zeros |
//! | 64 | 4 | its version |
//! | 68 | 8 | its check value |
//! | 76 | 12 | nonce of the wrapping |
//! | 88 | 48 | the data key, encrypted, and the tag |

use super::cipher::Provider;
use super::error::Error;
use super::key::{
    CHECK_BYTES, KeyId, KeyMark, KeySource, NAME_BYTES_MAX, SealingKey, Secret, hexadecimal, random_nonce,
};
use super::{NONCE_BYTES, SECRET_BYTES, TAG_BYTES};

const NONCE_AT: usize = NAME_BYTES_MAX + 4 + CHECK_BYTES;
const WRAPPED_AT: usize = NONCE_AT + NONCE_BYTES;
/// Bytes of a key slot.
pub(super) const SLOT_BYTES: usize = WRAPPED_AT + SECRET_BYTES + TAG_BYTES;

/// Wraps a data key. The wrapping is bound to `before`, what precedes the slot, and to the slot's own first fields.
pub(super) fn wrap(key: &SealingKey, data_key: &Secret, before: &[u8]) -> Result<[u8; SLOT_BYTES], Error> {
    let mut slot = [0; SLOT_BYTES];
    let name = key.id().name.as_str().as_bytes();
    slot[..name.len()].copy_from_slice(name);
    slot[NAME_BYTES_MAX..NAME_BYTES_MAX + 4].copy_from_slice(&key.id().version.to_be_bytes());
    slot[NAME_BYTES_MAX + 4..NONCE_AT].copy_from_slice(&key.check());
    let nonce = random_nonce()?;
    slot[NONCE_AT..WRAPPED_AT].copy_from_slice(&nonce);
    let bound = [before, &slot[..NONCE_AT]].concat();
    let (wrapped, tag) = slot[WRAPPED_AT..].split_at_mut(SECRET_BYTES);
    wrapped.copy_from_slice(data_key.bytes());
    tag.copy_from_slice(&Provider::Portable.cipher(key.secret()).seal(nonce, &bound, wrapped));
    Ok(slot)
}

/// The key a slot names.
pub(super) fn key_of(slot: &[u8; SLOT_BYTES]) -> Result<KeyId, Error> {
    let wrong = || Error::NotSealed { why: "it names no key" };
    let (name, version) = (&slot[..NAME_BYTES_MAX], &slot[NAME_BYTES_MAX..NAME_BYTES_MAX + 4]);
    let length = name.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES_MAX);
    if name[length..].iter().any(|byte| *byte != 0) {
        return Err(wrong());
    }
    let name = std::str::from_utf8(&name[..length]).ok().and_then(|name| name.parse().ok());
    let version = u32::from_be_bytes(version.try_into().expect("four bytes"));
    name.filter(|_| version > 0).map(|name| KeyId { name, version }).ok_or_else(wrong)
}

/// The key a slot names, with its check value.
pub(super) fn mark_of(slot: &[u8; SLOT_BYTES]) -> Result<KeyMark, Error> {
    let check = &slot[NAME_BYTES_MAX + 4..NONCE_AT];
    Ok(KeyMark { id: key_of(slot)?, check: hexadecimal(check) })
}

/// Unwraps the data key. A key that is not the one named in the slot is told before it is used.
pub(super) fn unwrap(
    keys: &dyn KeySource,
    slot: &[u8; SLOT_BYTES],
    before: &[u8],
) -> Result<(KeyId, Secret), Error> {
    let id = key_of(slot)?;
    let key = keys.find(&id)?;
    if slot[NAME_BYTES_MAX + 4..NONCE_AT] != key.check() {
        return Err(Error::WrongKey { key: id });
    }
    let bound = [before, &slot[..NONCE_AT]].concat();
    let nonce = slot[NONCE_AT..WRAPPED_AT].try_into().expect("a nonce of 12 bytes");
    let mut wrapped = zeroize::Zeroizing::new([0; SECRET_BYTES + TAG_BYTES]);
    wrapped.copy_from_slice(&slot[WRAPPED_AT..]);
    let data_key = Provider::Portable.cipher(key.secret()).open(nonce, &bound, &mut wrapped[..]);
    let data_key = data_key.map_err(|_| Error::Damaged { block: 0 })?;
    let data_key = Secret::from_slice(data_key).expect("a data key of 32 bytes");
    Ok((id, data_key))
}
