//! Reads cartridges for a rebuild, one mount each: what volume it is, its packs, its journals, and the manifest of every
//! pack that was not read from another copy yet. Manifests are kept as files in a folder of the rebuild's own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use library::{Barcode, CatalogId, Library, Mounted, PackOnTape, Reading, Surveyed, WorkEnd};
use model::pack::Seal;
use model::{PackId, VolumeId};
use tokio::sync::oneshot;
use volume::journal::{self, Entry};
use volume::pack::{ManifestReader, PackReader, write_manifest};
use volume::seal::{self, KeySource, MaybeSealed, Provider, note};

use super::report::Unconfirmed;
use crate::error::{Error, chain};
use crate::kept;
use crate::seals;
use crate::volumes::id_of;

/// Longest compressed manifest or journal read, in bytes.
const FILE_BYTES_MAX: usize = 256 << 20;

/// A cartridge as it was read.
#[derive(Clone, Debug)]
pub struct Cartridge {
    /// Name of the library it is in.
    pub library: String,
    /// Its barcode.
    pub barcode: Barcode,
    /// Its volume.
    pub volume: VolumeId,
    /// The catalog that owns it.
    pub catalog: Option<CatalogId>,
    /// What else it says of itself.
    pub surveyed: Surveyed,
    /// Generation of its newest index.
    pub generation: u64,
    /// What its newest index lists.
    pub packs: Vec<PackOnTape>,
    /// Numbers of its journals.
    pub journals: Vec<u64>,
    /// What they tell, in order.
    pub entries: Vec<Entry>,
    /// What could not be read.
    pub trouble: Vec<Unconfirmed>,
    /// Whether a journal is among that: deaths may be missing.
    pub deaf: bool,
}

/// Where manifests are kept while a rebuild goes on.
pub struct Manifests {
    folder: PathBuf,
    /// Those that were read, and the key of each pack that is sealed.
    read: Mutex<BTreeMap<String, Option<Seal>>>,
    keys: Arc<dyn KeySource>,
}

// === impl Manifests ===

impl Manifests {
    /// In an empty folder, made anew.
    pub fn new(folder: &Path, keys: Arc<dyn KeySource>) -> Result<Self, Error> {
        let failed = |source| Error::Spool { operation: "make the folder of manifests", source };
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => fs::create_dir_all(folder).map_err(failed)?,
        }
        Ok(Self { folder: folder.to_owned(), read: Mutex::default(), keys })
    }

    fn read(&self) -> MutexGuard<'_, BTreeMap<String, Option<Seal>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, pack: &str) -> PathBuf {
        self.folder.join(format!("{pack}.manifest"))
    }

    /// The manifest of a pack; none when no copy of it could be read.
    pub fn open(&self, pack: PackId) -> Result<Option<ManifestReader<impl io::Read + use<>>>, Error> {
        let id = pack.to_string();
        if !self.read().contains_key(&id) {
            return Ok(None);
        }
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Pack { pack, source };
        let file = fs::File::open(self.path(&id)).map_err(|error| failed(error.into()))?;
        ManifestReader::compressed(BufReader::new(file)).map(Some).map_err(|error| failed(error.into()))
    }

    /// The key a pack is sealed with, as its manifest or its own header says.
    pub(crate) fn seal_of(&self, pack: PackId) -> Option<Seal> {
        self.read().get(&pack.to_string()).cloned().flatten()
    }

    /// A changed record as it was before it was sealed, if it was.
    pub(crate) fn record(&self, archive: &str, record: String) -> Result<String, String> {
        note::read_text(&*self.keys, &format!("record {archive}"), record).map_err(|error| chain(&error))
    }

    /// How a bucket is kept, as it was before it was sealed, if it was.
    pub(crate) fn bucket(&self, settings: String) -> Result<String, String> {
        note::read_text(&*self.keys, kept::ABOUT, settings).map_err(|error| chain(&error))
    }

    /// The keys sealed packs are opened with.
    pub(crate) fn keys(&self) -> &Arc<dyn KeySource> {
        &self.keys
    }

    /// Keeps the manifest of a pack, once it was read to its end. Runs on a drive's thread.
    fn keep(&self, mounted: &mut Mounted<Reading>, pack: &PackOnTape) -> Result<(), String> {
        let id: PackId = pack.id.parse().map_err(|error: model::id::IdError| error.to_string())?;
        if self.read().contains_key(&pack.id) {
            return Ok(());
        }
        let mut bytes = Bounded::default();
        let beside = mounted.read_manifest(&pack.id, &mut bytes).map_err(|error| chain(&error));
        let beside = beside.and_then(|()| self.unsealed(id, bytes.0));
        let (whole, seal) = match beside {
            Ok(whole) => whole,
            Err(beside) => {
                let inside = inside(mounted, id, pack, &*self.keys);
                inside.map_err(|inside| format!("{beside}; in the pack: {inside}"))?
            }
        };
        fs::write(self.path(&pack.id), whole)
            .map_err(|error| format!("its manifest cannot be kept: {error}"))?;
        self.read().insert(pack.id.clone(), seal);
        Ok(())
    }

    /// A whole manifest as it was before it was sealed, and the key it is sealed with.
    fn unsealed(&self, pack: PackId, bytes: Vec<u8>) -> Result<(Vec<u8>, Option<Seal>), String> {
        let said = |error: seal::Error| chain(&error);
        let (bytes, seal) = match seal::is_sealed(&bytes) {
            false => (bytes, None),
            true => {
                let seal = seals::noted(&note::mark_of(&bytes).map_err(said)?);
                let plain = note::open(&*self.keys, &format!("manifest {pack}"), &bytes);
                (plain.map_err(said)?, Some(seal))
            }
        };
        check(pack, &bytes)?;
        Ok((bytes, seal))
    }
}

/// Reads a manifest to its end.
fn check(pack: PackId, bytes: &[u8]) -> Result<(), String> {
    let said = |error: volume::pack::Error| chain(&error);
    let reader = ManifestReader::compressed(bytes).map_err(said)?;
    if reader.pack().0 != pack.as_u128().into() {
        return Err("it is the manifest of another pack".to_owned());
    }
    for entry in reader {
        entry.map_err(said)?;
    }
    Ok(())
}

/// The manifest that is the pack's own last member, and the key the pack is sealed with.
fn inside(
    mounted: &mut Mounted<Reading>,
    id: PackId,
    pack: &PackOnTape,
    keys: &dyn KeySource,
) -> Result<(Vec<u8>, Option<Seal>), String> {
    let said = |error: volume::pack::Error| chain(&error);
    let source = mounted.pack_source(pack.start_block, pack.bytes);
    let source = MaybeSealed::open(source, pack.bytes, keys, Provider::Bulk).map_err(said)?;
    let key = source.key().map(|key| keys.find(key)).transpose().map_err(|error| chain(&error))?;
    let bytes = source.plain_bytes();
    let mut reader = PackReader::open(source, bytes).map_err(said)?;
    if reader.id().0 != id.as_u128().into() {
        return Err("it is another pack".to_owned());
    }
    let (id, manifest) = (reader.id(), reader.manifest().map_err(said)?);
    let whole = write_manifest(id, manifest).map_err(said)?;
    Ok((whole, key.map(|key| seals::noted(&key.mark()))))
}

/// Reads one cartridge. `None` for one that carries no volume, or another catalog's than `wanted`.
pub(crate) async fn survey(
    library: (&str, &Arc<Library>),
    barcode: Barcode,
    wanted: Option<CatalogId>,
    manifests: &Arc<Manifests>,
) -> Result<Option<Cartridge>, Error> {
    let (name, machine) = (library.0.to_owned(), library.1);
    let (found, cartridge) = oneshot::channel();
    let (done, ended) = oneshot::channel();
    let (manifests, at) = (manifests.clone(), barcode.clone());
    let work = Box::new(move |mounted: &mut Mounted<Reading>, surveyed: &Surveyed| {
        // Nobody listens only when the rebuild was given up.
        drop(found.send(look(mounted, surveyed, (name, at), wanted, &manifests)));
        WorkEnd::Keep
    });
    machine.survey(barcode, work, Box::new(move |result| drop(done.send(result))))?;
    match ended.await {
        Ok(Ok(())) => Ok(cartridge.await.ok().flatten()),
        Ok(Err(library::Error::Fence { what: library::FenceMismatch::NotLabelled, .. })) => Ok(None),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Error::Bug { what: "a library job ended without a report".to_owned() }),
    }
}

/// Runs on the drive's thread.
fn look(
    mounted: &mut Mounted<Reading>,
    surveyed: &Surveyed,
    (library, barcode): (String, Barcode),
    wanted: Option<CatalogId>,
    manifests: &Manifests,
) -> Option<Cartridge> {
    let catalog = mounted.volume().catalog_id();
    if catalog.is_none() || wanted.is_some_and(|wanted| catalog != Some(wanted)) {
        return None;
    }
    let mut cartridge = Cartridge {
        library,
        barcode,
        volume: id_of(mounted.uuid()),
        catalog,
        surveyed: surveyed.clone(),
        generation: mounted.volume().index().generation,
        packs: mounted.packs(),
        journals: mounted.journals(),
        entries: Vec::new(),
        trouble: Vec::new(),
        deaf: false,
    };
    if let Some(tail) = surveyed.tail.filter(|tail| tail.end_of_data > tail.index_end) {
        let what = format!("blocks {} to {}", tail.index_end, tail.end_of_data - 1);
        cartridge.unconfirmed(what, "no index lists them: written and not committed".to_owned(), false);
    }
    for seq in cartridge.journals.clone() {
        if let Err(why) = journal_of(mounted, &mut cartridge, seq) {
            cartridge.deaf = true;
            cartridge.unconfirmed(format!("journal {seq}"), why, true);
        }
    }
    for pack in cartridge.packs.clone() {
        if let Err(why) = manifests.keep(mounted, &pack) {
            cartridge.unconfirmed(format!("pack {}", pack.id), why, true);
        }
    }
    Some(cartridge)
}

fn journal_of(mounted: &mut Mounted<Reading>, cartridge: &mut Cartridge, seq: u64) -> Result<(), String> {
    let mut bytes = Bounded::default();
    mounted.read_journal(seq, &mut bytes).map_err(|error| chain(&error))?;
    let mut entries = Vec::new();
    let header = journal::decode(&bytes.0[..], |entry| {
        entries.push(entry);
        Ok(())
    });
    let header = header.map_err(|error| chain(&error))?;
    if id_of(header.volume) != cartridge.volume
        || Some(header.catalog) != cartridge.catalog
        || header.seq != seq
    {
        return Err("it is the journal of another volume".to_owned());
    }
    cartridge.entries.append(&mut entries);
    Ok(())
}

// === impl Cartridge ===

impl Cartridge {
    fn unconfirmed(&mut self, what: String, reason: String, lost: bool) {
        let barcode = Some(self.barcode.to_string());
        self.trouble.push(Unconfirmed { barcode, what, reason, lost });
    }
}

/// Bytes in memory, not too many.
#[derive(Default)]
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > FILE_BYTES_MAX {
            return Err(io::Error::other("it is longer than it may be"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
