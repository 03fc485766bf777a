//! What lived, by what tapes tell: births stand in manifests, deaths and changes in journals. Pure.
//!
//! - An archive in several packs lies in the newest of them that is whole; older places are garbage.
//! - An object cut into pieces lives when all pieces of one cut are there.
//! - A death counts on whatever volume it is told, before or after the birth it ends.
//! - Where a key keeps no versions, what was written last is all there is: the older ones ended, told or not.

use std::collections::{BTreeMap, HashMap, HashSet};

use model::{ArchiveId, Extent, PackId};
use volume::journal::Entry;
use volume::pack::{ManifestEntry, ObjectRecord, Segment};

/// What journals tell of archives.
#[derive(Debug, Default)]
pub struct Told {
    dead: HashSet<ArchiveId>,
    changed: HashMap<ArchiveId, (i64, String)>,
}

impl Told {
    /// Takes one entry of a journal. Errors say what is wrong with it.
    pub fn take(&mut self, entry: Entry) -> Result<(), String> {
        let id = |text: &str| text.parse::<ArchiveId>().map_err(|error| error.to_string());
        match entry {
            Entry::ArchiveDead { archive } => {
                self.dead.insert(id(&archive)?);
            }
            Entry::RecordChanged { archive, at_ms, record } => {
                let known = self.changed.entry(id(&archive)?).or_insert((at_ms, String::new()));
                if at_ms >= known.0 {
                    *known = (at_ms, record);
                }
            }
            Entry::PackCommitted { .. } | Entry::BucketKept { .. } | Entry::DeadBlocks { .. } => {}
        }
        Ok(())
    }

    /// The record as it was last told to be, and whether a journal told it; the one in the manifest where that is no
    /// record of the same object.
    fn latest(&self, id: ArchiveId, born: ObjectRecord) -> (ObjectRecord, bool) {
        let told =
            self.changed.get(&id).and_then(|(_, text)| serde_json::from_str::<ObjectRecord>(text).ok());
        let same = |told: &ObjectRecord| {
            (&told.bucket, &told.key, &told.etag, told.size)
                == (&born.bucket, &born.key, &born.etag, born.size)
        };
        match told.filter(same) {
            Some(told) => (told, true),
            None => (born, false),
        }
    }
}

/// Where a piece of an archive lies. Sorted: by archive, by cut, by piece, the newest pack last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    archive: ArchiveId,
    count: u32,
    index: u32,
    pack: PackId,
}

/// Every birth, before any is judged: about 100 bytes of memory for each member of each pack.
#[derive(Debug, Default)]
pub struct Births {
    places: Vec<Place>,
    /// By object (of a key without versions, or its version `null`): when the newest was written, and its archive.
    newest: HashMap<[u8; 16], (i64, ArchiveId)>,
}

impl Births {
    /// Notes a member of a pack, unless it is no piece of anything.
    pub fn note(&mut self, pack: PackId, entry: &ManifestEntry) {
        let segment = entry.segment.unwrap_or(WHOLE);
        if !segment.is_valid() {
            return;
        }
        let Segment { index, count } = segment;
        let archive = archive_of(entry);
        self.places.push(Place { archive, count, index, pack });
        if let Some(object) = replaceable(&entry.record) {
            let written = (entry.record.last_modified_ms, archive);
            let newest = self.newest.entry(object).or_insert(written);
            *newest = written.max(*newest);
        }
    }

    /// Whether something was written over an archive's object.
    fn is_overwritten(&self, id: ArchiveId, record: &ObjectRecord) -> bool {
        let newest = replaceable(record).and_then(|object| self.newest.get(&object));
        newest.is_some_and(|(_, newest)| *newest != id)
    }

    /// Sorts them; none may be noted after that.
    pub fn settle(&mut self) {
        self.places.sort_unstable();
        self.places.dedup();
    }

    /// The places of an archive.
    fn of(&self, archive: ArchiveId) -> &[Place] {
        let begin = self.places.partition_point(|place| place.archive < archive);
        let length = self.places[begin..].partition_point(|place| place.archive == archive);
        &self.places[begin..begin + length]
    }

    /// The packs the archive lies in, piece by piece; none when no cut of it is whole.
    fn chosen(&self, archive: ArchiveId) -> Option<Vec<PackId>> {
        let whole = self.of(archive).chunk_by(|one, other| one.count == other.count).filter_map(|cut| {
            let newest = cut.chunk_by(|one, other| one.index == other.index).filter_map(<[Place]>::last);
            let packs: Vec<PackId> = newest.map(|place| place.pack).collect();
            (packs.len() == cut[0].count as usize).then_some(packs)
        });
        whole.max_by_key(|packs| packs.iter().max().copied())
    }
}

/// The piece of an object that was not cut.
const WHOLE: Segment = Segment { index: 1, count: 1 };

/// An object version that tape knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// Its archive.
    pub id: ArchiveId,
    /// Its record, as it was last told.
    pub record: ObjectRecord,
    /// Whether a journal told it, and not its pack.
    pub journaled: bool,
    /// Where its bytes lie.
    pub extents: Vec<Extent>,
}

/// What a member of a pack is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lived.
    Lives(Birth),
    /// It had ended, as is told.
    Dead(Birth),
    /// It had ended, which nothing tells: something newer was written in its place.
    Overwritten(Birth),
    /// A piece: the others are not all taken yet.
    Waits,
    /// The archive lies in another pack.
    Elsewhere,
    /// A piece of an object of which not all pieces are there.
    Incomplete,
    /// It cannot be what it says.
    Refused(&'static str),
}

/// Judges members one after another, in any order of packs.
#[derive(Debug)]
pub struct Merge {
    told: Told,
    births: Births,
    open: BTreeMap<ArchiveId, BTreeMap<u32, Extent>>,
    /// What was judged of the pack at hand: a manifest that names a member twice makes it no two.
    judged: Option<(PackId, HashSet<(ArchiveId, u32)>)>,
}

impl Merge {
    /// With everything told, and every birth noted.
    pub fn new(told: Told, mut births: Births) -> Self {
        births.settle();
        Self { told, births, open: BTreeMap::new(), judged: None }
    }

    /// Judges one member of a pack. The members of a pack are to be judged one after another, each pack once.
    pub fn judge(&mut self, pack: PackId, entry: ManifestEntry) -> Verdict {
        let id = archive_of(&entry);
        let segment = entry.segment.unwrap_or(WHOLE);
        if !segment.is_valid() {
            return Verdict::Refused("it is no piece of anything");
        }
        if self.judged.as_ref().is_none_or(|(judged, _)| *judged != pack) {
            self.judged = Some((pack, HashSet::new()));
        }
        if let Some((_, judged)) = &mut self.judged
            && !judged.insert((id, segment.index))
        {
            return Verdict::Refused("it is in its pack twice");
        }
        let Some(chosen) = self.births.chosen(id) else { return Verdict::Incomplete };
        let is_cut = chosen.len() == segment.count as usize;
        if !is_cut || chosen.get(segment.index as usize - 1) != Some(&pack) {
            return Verdict::Elsewhere;
        }
        let extent = Extent { pack, offset: entry.offset, length: entry.length, digest: entry.digest.0 };
        let pieces = self.open.entry(id).or_default();
        pieces.insert(segment.index, extent);
        if pieces.len() < chosen.len() {
            return Verdict::Waits;
        }
        let extents: Vec<Extent> = self.open.remove(&id).unwrap_or_default().into_values().collect();
        let bytes = extents.iter().fold(0_u64, |sum, extent| sum.saturating_add(extent.length));
        if bytes != entry.record.size {
            return Verdict::Refused("its pieces are not as long as it is");
        }
        let overwritten = self.births.is_overwritten(id, &entry.record);
        let (record, journaled) = self.told.latest(id, entry.record);
        let birth = Birth { id, record, journaled, extents };
        match self.told.dead.contains(&id) {
            true => Verdict::Dead(birth),
            false if overwritten => Verdict::Overwritten(birth),
            false => Verdict::Lives(birth),
        }
    }
}

fn archive_of(entry: &ManifestEntry) -> ArchiveId {
    ArchiveId::from_u128(entry.id.0.0)
}

/// What tells an object that the next write replaces from all others; none for a version with an id.
fn replaceable(record: &ObjectRecord) -> Option<[u8; 16]> {
    if record.version_id.as_deref().is_some_and(|version| version != NULL) {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(record.bucket.as_bytes()).update(&[0]).update(record.key.as_bytes());
    hasher.finalize().as_bytes().first_chunk().copied()
}

const NULL: &str = "null";

#[cfg(test)]
mod tests;
