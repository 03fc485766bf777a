//! The work of a recall on the drive's thread: pieces are read pack by pack, in the order they lie.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as blocking;

use bytes::Bytes;
use library::{Blame, Mounted, PackSource, Reading, Remedy, WorkEnd};
use model::limits::CHUNK_BYTES_MAX;
use tokio::sync::mpsc;
use volume::pack::{self, Digest, Extent, PackReader};
use volume::seal::{self, MaybeSealed, Provider};

use crate::assembly::Place;
use crate::error::{Error, chain};
use crate::house::House;
use crate::recall::fits_memory;
use crate::schedule::Piece;
use crate::stretched::Slot;

/// What the drive's thread has to say.
pub(crate) enum News {
    /// A piece was read, or cannot be.
    Read(Box<Piece>, Result<Content, Error>),
    /// Everything handed over is read: is there more for this volume?
    Idle(blocking::SyncSender<Vec<Piece>>),
    /// Reading ended early through no fault of any piece.
    Broken(library::Error),
}

/// Where a piece's bytes are now.
pub(crate) enum Content {
    Memory(Bytes),
    /// In the object's file.
    Spooled,
    /// In a file of its own.
    Stretch(Slot),
    /// Nowhere: somebody else has it, or nobody waits for it any more.
    Needless,
}

/// The work on the drive's thread.
pub(crate) struct Reader {
    pub(crate) house: Arc<House>,
    pub(crate) news: mpsc::Sender<News>,
    /// Set when the mount is to end at the next pack.
    pub(crate) yields: Arc<AtomicBool>,
}

/// Why no more is read in this mount.
struct Ended;

/// Why a piece could not be read.
enum Trouble {
    /// Its bytes are not what was written.
    Damage(String),
    /// The drive, the path or this program failed, which says nothing of the tape.
    Drive(library::Error),
    /// The spool failed.
    Spool(io::Error),
    /// The key of the pack is missing or another one.
    Key(seal::Error),
}

impl Reader {
    pub(crate) fn run(&self, mounted: &mut Mounted<Reading>, mut pieces: Vec<Piece>) -> WorkEnd {
        while !pieces.is_empty() && !mounted.stopping() {
            for pack in pieces.chunk_by(|a, b| a.start_block == b.start_block) {
                let ends = mounted.stopping() || self.yields.load(Ordering::Relaxed);
                if ends || self.read_pack(mounted, pack).is_err() {
                    return WorkEnd::Keep;
                }
            }
            let (answer, more) = blocking::sync_channel(1);
            if self.news.blocking_send(News::Idle(answer)).is_err() {
                return WorkEnd::Keep;
            }
            pieces = more.recv().unwrap_or_default();
        }
        WorkEnd::Keep
    }

    /// Reads pieces of one pack in one forward pass.
    fn read_pack(&self, mounted: &mut Mounted<Reading>, pieces: &[Piece]) -> Result<(), Ended> {
        let is_needed = |piece: &&Piece| fits_memory(piece) || self.house.assemblies.needs(piece);
        let Some(first) = pieces.iter().find(is_needed) else { return Ok(()) };
        let source = mounted.pack_source(first.start_block, first.pack_bytes);
        let keys = &*self.house.keys;
        let mut pack = match PackReader::open_any(source, first.pack_bytes, keys, Provider::Bulk) {
            Ok(pack) => pack,
            Err(pack::Error::Seal(error)) if error.wants_key() => {
                return self.tell(first, Err(Trouble::Key(error)));
            }
            Err(error) => {
                let damage = match of_read(io::Error::from(error)) {
                    Trouble::Damage(detail) => detail,
                    other => return self.tell(first, Err(other)),
                };
                return pieces
                    .iter()
                    .try_for_each(|piece| self.tell(piece, Err(Trouble::Damage(damage.clone()))));
            }
        };
        // Members read in the order of their offsets expand each frame once.
        pieces.iter().try_for_each(|piece| match self.read(&mut pack, piece) {
            Ok(Content::Needless) => Ok(()),
            content => self.tell(piece, content),
        })
    }

    fn read(
        &self,
        pack: &mut PackReader<MaybeSealed<PackSource<'_>>>,
        piece: &Piece,
    ) -> Result<Content, Trouble> {
        let extent = Extent { offset: piece.extent.offset, length: piece.extent.length };
        let member = pack.member(extent, Some(Digest(piece.extent.digest)));
        let mut member = member.map_err(|error| of_read(error.into()))?;
        if fits_memory(piece) {
            let mut bytes = Vec::with_capacity(usize::try_from(piece.extent.length).unwrap_or(0));
            member.read_to_end(&mut bytes).map_err(of_read)?;
            return Ok(Content::Memory(bytes.into()));
        }
        let place = self.house.assemblies.place(piece).map_err(Trouble::Spool)?;
        let Some(Place { mut file, slot }) = place else { return Ok(Content::Needless) };
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        loop {
            match member.read(&mut buffer).map_err(of_read)? {
                0 => return Ok(slot.map_or(Content::Spooled, Content::Stretch)),
                read => file.write_all(&buffer[..read]).map_err(Trouble::Spool)?,
            }
        }
    }

    /// Says what became of a piece; an error when nothing more is to be read.
    fn tell(&self, piece: &Piece, content: Result<Content, Trouble>) -> Result<(), Ended> {
        let (news, goes_on) = match content {
            Ok(content) => (News::Read(Box::new(piece.clone()), Ok(content)), true),
            Err(Trouble::Damage(detail)) => {
                let what = format!("archive {} in pack {}", piece.archive, piece.extent.pack);
                (News::Read(Box::new(piece.clone()), Err(Error::Damaged { what, detail })), true)
            }
            Err(Trouble::Spool(source)) => {
                let error = Error::Spool { operation: "write a recalled object", source };
                (News::Read(Box::new(piece.clone()), Err(error)), true)
            }
            // Found before the mount but for a keyring that changed since; the others come back to it later.
            Err(Trouble::Key(source)) => {
                let what = format!("pack {}", piece.extent.pack);
                (News::Read(Box::new(piece.clone()), Err(Error::Key { what, source })), false)
            }
            // Where the medium is to blame only the piece that was read is charged, so that it cannot stand before
            // the others for ever.
            Err(Trouble::Drive(error)) if error.blame() == Blame::Medium => {
                (News::Read(Box::new(piece.clone()), Err(error.into())), false)
            }
            Err(Trouble::Drive(error)) => (News::Broken(error), false),
        };
        let heard = self.news.blocking_send(news).is_ok();
        if heard && goes_on { Ok(()) } else { Err(Ended) }
    }
}

/// What a failed read means. Errors of the library and of the pack travel inside [`io::Error`].
fn of_read(error: io::Error) -> Trouble {
    let mut inner: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(one) = inner {
        if let Some(error) = one.downcast_ref::<library::Error>() {
            return match error.remedy() {
                Remedy::Damage => Trouble::Damage(chain(error)),
                _ => Trouble::Drive(error.clone()),
            };
        }
        // An I/O error's own source is that of its inner error, which would be passed over.
        inner = match one.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(within) => Some(within),
            None => one.source(),
        };
    }
    // Whatever else the pack's reader found lies in the bytes.
    Trouble::Damage(chain(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_bytes_is_damage() {
        let pack = |error: volume::pack::Error| of_read(io::Error::from(error));
        assert!(matches!(pack(volume::pack::Error::NotAPack { why: "cut" }), Trouble::Damage(_)));
        assert!(matches!(
            pack(volume::pack::Error::OutsidePack { offset: 1, length: 1 }),
            Trouble::Damage(_)
        ));
        let down = || io::Error::other(library::Error::NoDriveUp);
        assert!(matches!(of_read(down()), Trouble::Drive(library::Error::NoDriveUp)));
        let read = volume::pack::Error::Read { offset: 0, source: io::Error::other(down()) };
        assert!(matches!(pack(read), Trouble::Drive(library::Error::NoDriveUp)));
    }
}
