//! Persistent reservations (SPC-5 5.14, 6.16, 6.17): which host may use a unit, told by keys of eight bytes.

use crate::wire::{Fields, ParseError};

/// The parameter list of PERSISTENT RESERVE OUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// This host's registered key; 0 when it has none.
    pub key: u64,
    /// The key to register, or the key to take the reservation from.
    pub other: u64,
    /// Registered through every port of the device (ALL_TG_PT).
    pub every_port: bool,
}

impl Change {
    /// Bytes of the list.
    pub const LENGTH: usize = 24;

    /// Reads the list.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let fields = Fields::new("reservation change", bytes);
        fields.slice(0, Self::LENGTH)?;
        Ok(Self { key: fields.u64(0)?, other: fields.u64(8)?, every_port: fields.u8(20)? & EVERY_PORT != 0 })
    }

    /// The list's bytes.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.key.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.other.to_be_bytes());
        bytes[20] = if self.every_port { EVERY_PORT } else { 0 };
        bytes
    }
}

/// The key of an owner's `epoch`: a later epoch of the same owner takes a unit from an earlier one, and nobody takes
/// anything from another owner.
pub fn key(owner: u32, epoch: u32) -> u64 {
    u64::from(owner) << 32 | u64::from(epoch)
}

/// The owner in a key.
pub fn owner(key: u64) -> u64 {
    key >> 32
}

/// The registered keys, as PERSISTENT RESERVE IN tells them.
pub fn parse_keys(bytes: &[u8]) -> Result<Vec<u64>, ParseError> {
    let list = list("registered keys", bytes)?;
    list.chunks_exact(8).map(|key| Fields::new("registered key", key).u64(0)).collect()
}

/// The bytes for [`parse_keys`]; the caller cuts them to the allocation length.
pub fn encode_keys(generation: u32, keys: &[u64]) -> Vec<u8> {
    behind_header(generation, &keys.iter().flat_map(|key| key.to_be_bytes()).collect::<Vec<u8>>())
}

/// Who holds a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The key it registered.
    pub key: u64,
    /// Type of the reservation ([`EXCLUSIVE`] is what this house makes).
    pub kind: u8,
}

/// Type: nobody but the holder reads or writes.
pub const EXCLUSIVE: u8 = 0x03;

/// The reservation, as PERSISTENT RESERVE IN tells it; `None` when there is none.
pub fn parse_holder(bytes: &[u8]) -> Result<Option<Holder>, ParseError> {
    let list = list("reservation", bytes)?;
    if list.is_empty() {
        return Ok(None);
    }
    let fields = Fields::new("reservation", list);
    Ok(Some(Holder { key: fields.u64(0)?, kind: fields.u8(13)? & 0x0F }))
}

/// The bytes for [`parse_holder`]; the caller cuts them to the allocation length.
pub fn encode_holder(generation: u32, holder: Option<Holder>) -> Vec<u8> {
    let descriptor = holder.map_or(Vec::new(), |holder| {
        [&holder.key.to_be_bytes()[..], &[0; 5], &[holder.kind & 0x0F, 0, 0]].concat()
    });
    behind_header(generation, &descriptor)
}

fn list<'a>(what: &'static str, bytes: &'a [u8]) -> Result<&'a [u8], ParseError> {
    let fields = Fields::new(what, bytes);
    let stated = usize::try_from(fields.u32(4)?).map_err(|_| fields.invalid(4))?;
    let rest = &bytes[8..];
    Ok(&rest[..rest.len().min(stated)])
}

fn behind_header(generation: u32, list: &[u8]) -> Vec<u8> {
    let length = u32::try_from(list.len()).expect("keys of a few hosts");
    [&generation.to_be_bytes()[..], &length.to_be_bytes(), list].concat()
}

const EVERY_PORT: u8 = 0x04;
