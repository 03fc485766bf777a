//! Reads a finished pack back from the spool before anything relies on it: what the compressor and the disk made of
//! the bytes must be what was digested on the way in.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use volume::pack::{Error, InOrder, PackSummary, Scan};
use volume::seal::{KeySource, MaybeSealed, Provider};

/// Expands the pack at `path` from start to end and compares every member with its place and digest.
pub(crate) fn check(path: &Path, summary: &PackSummary, keys: &dyn KeySource) -> Result<(), Error> {
    let file = File::open(path).map_err(unreadable)?;
    let unsealed = MaybeSealed::open(file, summary.bytes, keys, Provider::Bulk)?;
    if unsealed.key() != summary.key.as_ref().map(|key| &key.id) {
        return Err(Error::NotAPack { why: "it is sealed with another key than it was built with" });
    }
    let mut scan = Scan::sequential(BufReader::with_capacity(1 << 20, InOrder::new(unsealed)))?;
    // Large enough for the digest's widest lanes.
    let mut buffer = vec![0; 256 << 10];
    for place in &summary.members {
        let differs = Error::Damaged { offset: place.offset, why: "the spooled pack is not what was packed" };
        let Some(member) = scan.next_member()? else { return Err(differs) };
        let mut digest = blake3::Hasher::new();
        loop {
            match scan.read(&mut buffer).map_err(unreadable)? {
                0 => break,
                read => digest.update(&buffer[..read]),
            };
        }
        let same = member.id == place.id
            && member.offset == place.offset
            && *digest.finalize().as_bytes() == place.digest.0;
        if !same {
            return Err(differs);
        }
    }
    match scan.next_member()? {
        None => Ok(()),
        Some(extra) => Err(Error::Damaged { offset: extra.offset, why: "a member nobody packed" }),
    }
}

fn unreadable(source: io::Error) -> Error {
    Error::Read { offset: 0, source }
}
