//! Objects larger than a pack lie on tape in segments; here they become one file again.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use volume::pack::{ManifestEntry, MemberId, member_name};

/// Objects of which some segments were extracted and not yet all.
#[derive(Debug, Default)]
pub struct Segments {
    objects: BTreeMap<MemberId, Pieces>,
}

#[derive(Debug)]
struct Pieces {
    count: u32,
    size: u64,
    /// Files of the segments by number, relative to the folder.
    files: BTreeMap<u32, PathBuf>,
}

impl Segments {
    /// Notes that a segment is in its file; once it is the last one missing, all are joined into one file of the
    /// object's name. Errors say what is wrong and leave the segments as they are.
    pub fn add(&mut self, folder: &Path, entry: ManifestEntry, file: PathBuf) -> Result<(), String> {
        let Some(segment) = entry.segment else { return Ok(()) };
        let fresh = Pieces { count: segment.count, size: entry.record.size, files: BTreeMap::new() };
        let pieces = self.objects.entry(entry.id).or_insert(fresh);
        if (pieces.count, pieces.size) != (segment.count, entry.record.size) {
            return Err(format!("archive {}: its segments do not belong together", entry.id));
        }
        pieces.files.insert(segment.index, file);
        if pieces.files.len() < pieces.count as usize {
            return Ok(());
        }
        let name = member_name(&entry.record.bucket, &entry.record.key, entry.id, None);
        let joined = pieces.join(folder, &folder.join(name));
        joined.map_err(|error| format!("archive {}: cannot join its segments: {error}", entry.id))?;
        self.objects.remove(&entry.id);
        Ok(())
    }

    /// Objects that are not whole, and how many of their segments are missing.
    pub fn incomplete(&self) -> Vec<(MemberId, usize)> {
        let missing = |pieces: &Pieces| (pieces.count as usize).saturating_sub(pieces.files.len());
        self.objects.iter().map(|(id, pieces)| (*id, missing(pieces))).collect()
    }
}

impl Pieces {
    /// Appends every segment to the first, which then takes the object's name; needs room for one more segment only.
    fn join(&self, folder: &Path, whole: &Path) -> io::Result<()> {
        let mut files = self.files.values().map(|file| folder.join(file));
        let Some(first) = files.next() else { return Ok(()) };
        let mut lengths = fs::metadata(&first)?.len();
        for file in self.files.values().skip(1) {
            lengths += fs::metadata(folder.join(file))?.len();
        }
        if lengths != self.size {
            return Err(io::Error::other(format!(
                "they come to {lengths} bytes, the object has {}",
                self.size
            )));
        }
        let mut sink = OpenOptions::new().append(true).open(&first)?;
        for file in files {
            io::copy(&mut File::open(&file)?, &mut sink)?;
            fs::remove_file(&file)?;
        }
        fs::rename(&first, whole)
    }
}
