//! `tape read`: every wanted member of every pack becomes a file, checked against the digest in the pack's manifest.
//!
//! A file is written under a name of its own, checked, and only then given its final name: what has the name of an
//! object has its bytes. An object cut into segments is joined once all are there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};
use volume::pack::{Extent, ManifestEntry, MemberId, Segment, member_name};
use volume::seal::Keyring;

use super::cartridge::{Cartridge, OpenPack, PackFile};
use super::join::Segments;
use super::{complain, line, with_advice};
use crate::command::write;
use crate::error::{Error, chain};
use crate::table::{bytes, printable};

/// Which members are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All.
    All,
    /// Those with this exact key.
    Key(String),
    /// The archive of this id.
    Archive(MemberId),
}

impl Wanted {
    /// What the command line asks for.
    pub fn parse(key: Option<String>, archive: Option<&str>) -> Result<Self, Error> {
        match (key, archive) {
            (Some(key), _) => Ok(Self::Key(key)),
            (None, None) => Ok(Self::All),
            (None, Some(id)) => {
                let wrong = |error| Error::Usage { what: format!("--archive: {error}") };
                id.parse().map(Self::Archive).map_err(wrong)
            }
        }
    }

    fn covers(&self, entry: &ManifestEntry) -> bool {
        match self {
            Self::All => true,
            Self::Key(key) => entry.record.key == *key,
            Self::Archive(id) => entry.id == *id,
        }
    }
}

/// A run of `tape read`.
pub struct Extraction {
    to: PathBuf,
    wanted: Wanted,
    keys: Keyring,
    json: bool,
    /// Members extracted already, from this or another cartridge.
    done: BTreeSet<(MemberId, u32)>,
    segments: Segments,
    read: u64,
    failed: u64,
}

impl Extraction {
    /// Into the folder `to`, made when it is not there.
    pub fn new(to: &Path, wanted: Wanted, keys: Keyring, json: bool) -> Result<Self, Error> {
        let failed = |source| Error::File { operation: "make", path: to.to_owned(), source };
        fs::create_dir_all(to).map_err(failed)?;
        let done = BTreeSet::new();
        Ok(Self {
            to: to.to_owned(),
            wanted,
            keys,
            json,
            done,
            segments: Segments::default(),
            read: 0,
            failed: 0,
        })
    }

    /// Extracts what is wanted from one cartridge. Packs and members that cannot be read are told of and counted.
    pub fn cartridge(&mut self, folder: &Path) -> Result<(), Error> {
        let Some(mut cartridge) = Cartridge::open(folder)? else { return Ok(()) };
        for pack in cartridge.packs() {
            match self.pack(&mut cartridge, &pack) {
                Err(Error::Output(error)) => return Err(Error::Output(error)),
                Err(error) => self.trouble(&format!("pack {}: {}", printable(&pack.id), chain(&error))),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// What is left to say once every cartridge was read.
    pub fn end(self) -> Result<(), Error> {
        let mut failed = self.failed;
        for (id, missing) in self.segments.incomplete() {
            complain(&format!(
                "archive {id} is not whole: {missing} of its segments are on other cartridges; name a folder that holds them all"
            ));
            failed += 1;
        }
        if failed > 0 {
            let what = format!(
                "{} objects or pieces read, {failed} with trouble; the lines above say which",
                self.read
            );
            return Err(Error::Partial { what });
        }
        if self.read == 0 && self.wanted != Wanted::All {
            return Err(Error::Partial { what: "there is no such object on these cartridges".to_owned() });
        }
        Ok(())
    }

    fn pack(&mut self, cartridge: &mut Cartridge, pack: &PackFile) -> Result<(), Error> {
        let place = json!({"cartridge": cartridge.name(), "volume": cartridge.uuid(), "pack": pack.id});
        let name = cartridge.name().to_owned();
        let failed = |source: volume::pack::Error| Error::Tape {
            operation: "read a pack on",
            cartridge: name.clone(),
            source: with_advice(source),
        };
        let mut reader = cartridge.pack(pack, &self.keys).map_err(failed)?;
        let mut entries = Vec::new();
        for entry in reader.manifest().map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if self.wanted.covers(&entry) && !self.done.contains(&identity(&entry)) {
                entries.push(entry);
            }
        }
        for entry in entries {
            match self.member(&mut reader, &entry) {
                Ok(path) => {
                    self.tell(&place, &entry, &path)?;
                    self.keep(entry, path);
                }
                Err(problem) => {
                    let (bucket, key) = (printable(&entry.record.bucket), printable(&entry.record.key));
                    self.trouble(&format!("archive {}, s3://{bucket}/{key}: {problem}", entry.id));
                }
            }
        }
        Ok(())
    }

    /// Writes one member to its file, which it returns, relative to the folder.
    fn member(&self, reader: &mut OpenPack<'_>, entry: &ManifestEntry) -> Result<PathBuf, String> {
        let name =
            PathBuf::from(member_name(&entry.record.bucket, &entry.record.key, entry.id, entry.segment));
        // A manifest is what somebody wrote on a tape: whatever it says, nothing is written elsewhere.
        if !name.components().all(|component| matches!(component, Component::Normal(_))) {
            return Err("its name would lead out of the folder".to_owned());
        }
        let path = self.to.join(&name);
        let file = |error: io::Error| format!("cannot write {}: {error}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(&self.to)).map_err(file)?;
        let unfinished = self.to.join(format!(".{}.unfinished", entry.id));
        let extent = Extent { offset: entry.offset, length: entry.length };
        let mut member = reader.member(extent, Some(entry.digest)).map_err(|error| chain(&error))?;
        let mut sink = File::create(&unfinished).map_err(file)?;
        let copied = io::copy(&mut member, &mut sink);
        let finished =
            copied.map_err(|error| chain(&error)).and_then(|_| fs::rename(&unfinished, &path).map_err(file));
        if finished.is_err() {
            // The trouble itself is what counts; a leftover carries no object's name.
            drop(fs::remove_file(&unfinished));
        }
        finished.map(|()| name)
    }

    fn keep(&mut self, entry: ManifestEntry, path: PathBuf) {
        self.read += 1;
        self.done.insert(identity(&entry));
        if let Some(Segment { .. }) = entry.segment
            && let Err(problem) = self.segments.add(&self.to, entry, path)
        {
            self.trouble(&problem);
        }
    }

    fn tell(&self, place: &Value, entry: &ManifestEntry, path: &Path) -> Result<(), Error> {
        if self.json {
            let mut object = entry_json(entry);
            for (name, value) in place.as_object().into_iter().flatten() {
                object[name] = value.clone();
            }
            object["path"] = json!(path);
            object["digest_ok"] = json!(true);
            return line(&object);
        }
        let (key, size) = (printable(&entry.record.key), bytes(entry.length));
        let piece = entry
            .segment
            .map_or(String::new(), |piece| format!("  piece {} of {}", piece.index, piece.count));
        write(
            format!(
                "{}  {size:>10}  digest ok  s3://{}/{key}{piece}\n",
                entry.id,
                printable(&entry.record.bucket)
            )
            .as_bytes(),
        )
    }

    fn trouble(&mut self, text: &str) {
        self.failed += 1;
        complain(text);
    }
}

/// A member as JSON: exact key, digest and the object's whole record.
pub fn entry_json(entry: &ManifestEntry) -> Value {
    json!({
        "archive": entry.id.to_string(),
        "bucket": entry.record.bucket,
        "key": entry.record.key,
        "size": entry.length,
        "segment": entry.segment.map(|segment| json!({"index": segment.index, "count": segment.count})),
        "digest": entry.digest.to_string(),
        "record": entry.record,
    })
}

fn identity(entry: &ManifestEntry) -> (MemberId, u32) {
    (entry.id, entry.segment.map_or(0, |segment| segment.index))
}
