//! Packs: many objects in one file that goes to tape as it is.
//!
//! A **pack** is a POSIX tar inside zstd **frames**, so that `tar --zstd -xf` reads it on a machine that has never heard of
//! us. A **member** is one object, or one **segment** of an object larger than a pack. A member's **place** is the offset of
//! its data in the tar; the **seek table** at the end of the pack leads from there to the frames. The **manifest**, the last
//! member, says what the pack holds.
//!
//! Writing: [`PackWriter`] cuts the tar into frames, compresses them on threads and writes them in order.
//! Reading by place: [`PackReader`]. Reading in order, also without seeking: [`Scan`].
//!
//! - Memory is bounded whatever the sizes of members, and whatever a hostile pack claims.
//! - A reader answers bytes that are not a pack with an error, never with a panic, and never uses a path from a pack.
//! - The same members, options and ids give the same bytes: nothing here reads a clock or draws a random number.
//!
//! A pack may be sealed ([`crate::seal`]): [`Options::key`] seals it as it is written, [`PackReader::open_any`] reads either
//! kind. The format is specified byte by byte in `FORMAT.md`.

mod compress;
mod error;
mod frame;
mod id;
pub mod limits;
mod manifest;
mod name;
mod outlet;
mod plain;
mod reader;
mod record;
mod scan;
mod seek;
mod stored;
mod tar;
#[cfg(test)]
mod tests;
mod untar;
mod writer;

pub use error::Error;
pub use id::{Digest, MemberId, PackId, ParseError};
pub use manifest::{ManifestEntry, ManifestReader, write_manifest};
pub use name::{manifest_name, member_name};
pub(crate) use plain::read_exact_at;
pub use plain::{Cursor, InOrder, ReadAt};
pub use reader::{Extent, MemberReader, PackReader};
pub use record::{ObjectRecord, PartRecord, Segment};
pub use scan::{Scan, ScannedMember, Sequential};
pub use writer::{Member, MemberPlace, Options, PackSummary, PackWriter};
