//! Rows: how each is named, written down, found, and which steps it may take.

use std::collections::BTreeMap;

use model::archive::ArchiveStage;
use model::catalog::Bucket;
use model::pack::{Pack, PackCopy};
use model::volume::Volume;
use model::{Archive, ArchiveId, BucketName, JobId, ObjectKey, PackId, RestoreJob, Timestamp, VolumeId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::kv::Table;

/// Index entries: table and key -> value.
pub type Entries = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A row of the book of record.
pub trait Row: Serialize + DeserializeOwned {
    /// Where rows of this kind stand.
    const TABLE: Table;
    /// The row's key.
    fn key(&self) -> Vec<u8>;
    /// The row's name, for people.
    fn name(&self) -> String;
    /// The row's revision.
    fn revision(&mut self) -> &mut u64;
    /// The index entries that follow from the row. But for the archive's index of restores, an index key is a prefix
    /// and then the row's key.
    fn entries(&self) -> Entries;
    /// The step from this row to `next`, in words, when the table of the model forbids it.
    fn illegal_step(&self, next: &Self) -> Option<String>;
}

/// A row as bytes: one byte for the version of the encoding, then postcard.
pub fn encode<R: Row>(row: &R) -> Vec<u8> {
    postcard::to_extend(row, vec![ENCODING]).expect("a row of plain data has a postcard form")
}

/// The row of [`encode`]d bytes.
pub fn decode<R: Row>(key: &[u8], bytes: &[u8]) -> Result<R, Error> {
    let fault = |source| Error::Decode { row: format!("{} {}", R::TABLE.name(), hex(key)), source };
    match bytes.split_first() {
        Some((&ENCODING, rest)) => postcard::from_bytes(rest).map_err(|error| fault(error.into())),
        Some((other, _)) => Err(fault(format!("unknown encoding {other}").into())),
        None => Err(fault("no bytes".into())),
    }
}

/// Version of the encoding of rows. A row is read by the version it was written with.
const ENCODING: u8 = 4;

/// What the index of the archives in a pack says of one that is not history.
pub const LIVE: &[u8] = &[1];

/// Where an archive stands among those with something untold since then.
pub fn untold_key(since: Timestamp, id: ArchiveId) -> Vec<u8> {
    joined(&ordered(since), &archive_key(id))
}

/// Bytes for people.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

// === keys ===

/// Key of an archive.
pub fn archive_key(id: ArchiveId) -> Vec<u8> {
    id.as_u128().to_be_bytes().to_vec()
}

/// Key of a pack.
pub fn pack_key(id: PackId) -> Vec<u8> {
    id.as_u128().to_be_bytes().to_vec()
}

/// Key of a volume.
pub fn volume_key(id: VolumeId) -> Vec<u8> {
    id.as_u128().to_be_bytes().to_vec()
}

/// Key of a restore.
pub fn restore_key(id: JobId) -> Vec<u8> {
    id.as_u128().to_be_bytes().to_vec()
}

/// A job id such that the latest sorts first; turns itself back.
pub fn turned(key: &[u8]) -> Vec<u8> {
    key.iter().map(|byte| !byte).collect()
}

/// What the keys of all archives of a bucket begin with. Bucket names have no zero byte.
pub fn bucket_prefix(bucket: &BucketName) -> Vec<u8> {
    let mut prefix = bucket.as_str().as_bytes().to_vec();
    prefix.push(0);
    prefix
}

/// What the archives of one object key begin with: in the order of object keys, and no key's is the beginning of
/// another's. A zero byte of the key is written 00 FF, its end 00 00.
pub fn object_prefix(bucket: &BucketName, key: &ObjectKey) -> Vec<u8> {
    let mut prefix = bucket_prefix(bucket);
    for byte in key.as_str().bytes() {
        prefix.push(byte);
        if byte == 0 {
            prefix.push(0xFF);
        }
    }
    prefix.extend_from_slice(&[0, 0]);
    prefix
}

/// A moment as bytes that sort as moments do.
fn ordered(moment: Timestamp) -> [u8; MOMENT_BYTES] {
    (moment.milliseconds() ^ i64::MIN).to_be_bytes()
}

/// Length of a moment in a key.
pub const MOMENT_BYTES: usize = 8;

fn joined(prefix: &[u8], key: &[u8]) -> Vec<u8> {
    [prefix, key].concat()
}

// === impl Row ===

impl Row for Archive {
    const TABLE: Table = Table::Archives;
    fn key(&self) -> Vec<u8> {
        archive_key(self.id)
    }
    fn name(&self) -> String {
        format!("archive {}", self.id)
    }
    fn revision(&mut self) -> &mut u64 {
        &mut self.revision
    }
    fn entries(&self) -> Entries {
        let (key, stage) = (self.key(), self.state.stage());
        let size = self.size.to_be_bytes().to_vec();
        let mut entries = Entries::from([((Table::ArchivesByStage, joined(&[stage as u8], &key)), size)]);
        if stage.is_live() {
            let object = object_prefix(&self.bucket, &self.key);
            entries.insert((Table::ArchivesByKey, joined(&object, &key)), Vec::new());
            if self.touched {
                entries.insert((Table::ArchivesTouched, key.clone()), Vec::new());
            }
        }
        if let Some(since) = self.untold() {
            entries.insert((Table::ArchivesUntold, untold_key(since, self.id)), Vec::new());
        }
        for extent in &self.extents {
            let pack = pack_key(extent.pack);
            let life = if stage.is_live() { LIVE.to_vec() } else { Vec::new() };
            entries.insert((Table::ArchivesByPack, joined(&pack, &key)), life);
        }
        entries
    }
    fn illegal_step(&self, next: &Self) -> Option<String> {
        let (from, to): (ArchiveStage, _) = (self.state.stage(), next.state.stage());
        (!from.may_become(to)).then(|| forbidden(&self.name(), &from, &to))
    }
}

impl Row for Pack {
    const TABLE: Table = Table::Packs;
    fn key(&self) -> Vec<u8> {
        pack_key(self.id)
    }
    fn name(&self) -> String {
        format!("pack {}", self.id)
    }
    fn revision(&mut self) -> &mut u64 {
        &mut self.revision
    }
    fn entries(&self) -> Entries {
        let spooled = self.spooled.then(|| ((Table::PacksSpooled, self.key()), Vec::new()));
        spooled.into_iter().collect()
    }
    fn illegal_step(&self, _: &Self) -> Option<String> {
        None
    }
}

impl Row for PackCopy {
    const TABLE: Table = Table::Copies;
    fn key(&self) -> Vec<u8> {
        joined(&pack_key(self.pack), &[self.number])
    }
    fn name(&self) -> String {
        format!("copy {} of pack {}", self.number, self.pack)
    }
    fn revision(&mut self) -> &mut u64 {
        &mut self.revision
    }
    fn entries(&self) -> Entries {
        let (key, stage) = (self.key(), self.state.stage() as u8);
        let mut entries = Entries::from([((Table::CopiesByStage, joined(&[stage], &key)), Vec::new())]);
        if let Some(volume) = self.volume {
            entries.insert((Table::CopiesByVolume, joined(&volume_key(volume), &key)), Vec::new());
        }
        entries
    }
    fn illegal_step(&self, next: &Self) -> Option<String> {
        let (from, to) = (self.state.stage(), next.state.stage());
        (!from.may_become(to)).then(|| forbidden(&self.name(), &from, &to))
    }
}

impl Row for Volume {
    const TABLE: Table = Table::Volumes;
    fn key(&self) -> Vec<u8> {
        volume_key(self.id)
    }
    fn name(&self) -> String {
        format!("volume {}", self.id)
    }
    fn revision(&mut self) -> &mut u64 {
        &mut self.revision
    }
    fn entries(&self) -> Entries {
        Entries::new()
    }
    fn illegal_step(&self, next: &Self) -> Option<String> {
        let (from, to) = (self.state.stage(), next.state.stage());
        (!from.may_become(to)).then(|| forbidden(&self.name(), &from, &to))
    }
}

impl Row for RestoreJob {
    const TABLE: Table = Table::Restores;
    fn key(&self) -> Vec<u8> {
        restore_key(self.id)
    }
    fn name(&self) -> String {
        format!("restore {}", self.id)
    }
    fn revision(&mut self) -> &mut u64 {
        &mut self.revision
    }
    fn entries(&self) -> Entries {
        let (key, stage) = (self.key(), self.state.stage() as u8);
        let latest_first = joined(&archive_key(self.archive), &turned(&key));
        Entries::from([
            ((Table::RestoresByStage, joined(&[stage], &key)), Vec::new()),
            ((Table::RestoresByArchive, latest_first), Vec::new()),
        ])
    }
    fn illegal_step(&self, next: &Self) -> Option<String> {
        let (from, to) = (self.state.stage(), next.state.stage());
        (!from.may_become(to)).then(|| forbidden(&self.name(), &from, &to))
    }
}

impl Row for Bucket {
    const TABLE: Table = Table::Buckets;
    fn key(&self) -> Vec<u8> {
        self.name.as_str().as_bytes().to_vec()
    }
    fn name(&self) -> String {
        format!("bucket {}", self.name)
    }
    fn revision(&mut self) -> &mut u64 {
        &mut self.revision
    }
    fn entries(&self) -> Entries {
        Entries::new()
    }
    fn illegal_step(&self, _: &Self) -> Option<String> {
        None
    }
}

fn forbidden(name: &str, from: &dyn std::fmt::Debug, to: &dyn std::fmt::Debug) -> String {
    format!("{name} may not go from {from:?} to {to:?}")
}
