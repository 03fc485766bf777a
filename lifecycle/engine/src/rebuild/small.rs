//! Bytes of objects too small for a stub, from their pack on tape.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use library::{CatalogId, End, Expected, Library, Mount, Mounted, Reading, WorkEnd};
use model::{ArchiveId, Extent};
use tokio::sync::oneshot;
use volume::pack::{Digest, PackReader};
use volume::seal::{KeySource, MaybeSealed, Provider};

use super::survey::Cartridge;
use crate::error::{Error, chain};
use crate::volumes::uuid_of;

/// A copy of a pack on a cartridge.
#[derive(Clone, Copy)]
pub(crate) struct PackCopyAt<'a> {
    pub(crate) cartridge: &'a Cartridge,
    pub(crate) start_block: u64,
    pub(crate) bytes: u64,
}

/// What was read, and why the others were not.
pub(crate) type Small = BTreeMap<ArchiveId, Result<Bytes, String>>;

/// Reads members of one pack, in the order they lie in.
pub(crate) async fn read(
    machine: &Arc<Library>,
    catalog: CatalogId,
    keys: Arc<dyn KeySource>,
    copy: PackCopyAt<'_>,
    mut wanted: Vec<(ArchiveId, Extent)>,
) -> Result<Small, Error> {
    wanted.sort_by_key(|(_, extent)| extent.offset);
    let PackCopyAt { cartridge, start_block, bytes } = copy;
    let expect = Expected {
        uuid: uuid_of(cartridge.volume),
        mam_serial: cartridge.surveyed.medium_serial.clone(),
        catalog_id: catalog,
        generation: cartridge.generation,
        eod_block: cartridge.surveyed.tail.map_or(0, |tail| tail.index_end),
        end: End::Unclean,
    };
    let mount = Mount { barcode: cartridge.barcode.clone(), expect };
    let (found, small) = oneshot::channel();
    let (done, ended) = oneshot::channel();
    let work = Box::new(move |mounted: &mut Mounted<Reading>| {
        // Nobody listens only when the rebuild was given up.
        drop(found.send(members(mounted, &*keys, (start_block, bytes), wanted)));
        WorkEnd::Keep
    });
    machine.read(mount, work, Box::new(move |result| drop(done.send(result))))?;
    match ended.await {
        Ok(report) => drop(report?),
        Err(_) => return Err(Error::Bug { what: "a library job ended without a report".to_owned() }),
    }
    Ok(small.await.unwrap_or_default())
}

/// Runs on the drive's thread.
fn members(
    mounted: &mut Mounted<Reading>,
    keys: &dyn KeySource,
    (start_block, bytes): (u64, u64),
    wanted: Vec<(ArchiveId, Extent)>,
) -> Small {
    let source = MaybeSealed::open(mounted.pack_source(start_block, bytes), bytes, keys, Provider::Bulk);
    let reader = source.and_then(|source| {
        let bytes = source.plain_bytes();
        PackReader::open(source, bytes)
    });
    let mut reader = match reader {
        Ok(reader) => reader,
        Err(error) => return wanted.into_iter().map(|(id, _)| (id, Err(chain(&error)))).collect(),
    };
    let mut small = Small::new();
    for (id, Extent { offset, length, digest, .. }) in wanted {
        let place = volume::pack::Extent { offset, length };
        let mut bytes = Vec::new();
        let read = match reader.member(place, Some(Digest(digest))) {
            Ok(mut member) => member.read_to_end(&mut bytes).map_err(|error| chain(&error)),
            Err(error) => Err(chain(&error)),
        };
        small.insert(id, read.map(|_| bytes.into()));
    }
    small
}
