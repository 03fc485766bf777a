//! An index: everything a volume lists, at one generation.

mod read;
mod write;

pub use read::parse;
pub use write::write;

use super::{BlockAddress, Partition, Timestamp, VolumeUuid};

/// One index. Files written by others than this room are kept readable; only volumes whose newest index this room
/// wrote are ever written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Program that wrote it.
    pub creator: String,
    /// The volume.
    pub uuid: VolumeUuid,
    /// Counts up with every index of the data partition.
    pub generation: u64,
    /// When the volume changed last.
    pub update_time: Timestamp,
    /// Where this index begins.
    pub location: BlockAddress,
    /// Where the previous one begins; `None` in generation 1.
    pub previous: Option<BlockAddress>,
    /// The largest file id ever given.
    pub highest_file_id: u64,
    /// Everything.
    pub root: Directory,
}

/// A directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its name; the root's is the volume's.
    pub name: String,
    /// Its times and attributes.
    pub node: Node,
    /// Directories in it.
    pub directories: Vec<Directory>,
    /// Files in it.
    pub files: Vec<File>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its times and attributes.
    pub node: Node,
    /// Where its bytes lie, by offset.
    pub extents: Vec<Extent>,
}

/// What files and directories have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Unique on the volume; the root has 1.
    pub file_id: u64,
    /// Whether it may be changed.
    pub read_only: bool,
    /// When it was made.
    pub created: Timestamp,
    /// When its data changed last; this room writes all times of LTFS but the creation time as this one.
    pub modified: Timestamp,
    /// Extended attributes with text values, in order; LTFS shows them under `user.`.
    pub attributes: Vec<(String, String)>,
}

/// Consecutive bytes of a file in consecutive blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Offset in the file of the first byte.
    pub file_offset: u64,
    /// The first block.
    pub start: BlockAddress,
    /// Offset of the first byte in that block.
    pub byte_offset: u32,
    /// How many bytes.
    pub bytes: u64,
}

impl Directory {
    /// The directory of that name in this one.
    pub fn directory(&self, name: &str) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.name == name)
    }

    /// The file of that name in this directory.
    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }

    /// The value of an extended attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.node.attribute(key)
    }

    /// Directories and files at any depth, this one included.
    pub fn node_count(&self) -> usize {
        1 + self.files.len() + self.directories.iter().map(Self::node_count).sum::<usize>()
    }
}

impl Node {
    /// The value of an extended attribute.
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl Index {
    /// The file at a path of directories and a name, as `/packs/x.tar.zst`.
    pub fn file(&self, path: &str) -> Option<&File> {
        let (parents, name) =
            path.strip_prefix('/')?.rsplit_once('/').unwrap_or(("", path.strip_prefix('/')?));
        let mut directory = &self.root;
        for parent in parents.split('/').filter(|parent| !parent.is_empty()) {
            directory = directory.directory(parent)?;
        }
        directory.file(name)
    }

    /// Every file with its path, directories before their files, in index order.
    pub fn files(&self) -> Vec<(String, &File)> {
        fn walk<'a>(path: &str, directory: &'a Directory, out: &mut Vec<(String, &'a File)>) {
            for child in &directory.directories {
                walk(&format!("{path}/{}", child.name), child, out);
            }
            out.extend(directory.files.iter().map(|file| (format!("{path}/{}", file.name), file)));
        }
        let mut out = Vec::new();
        walk("", &self.root, &mut out);
        out
    }

    /// The first block number that no file of this index uses in the data partition.
    pub fn end_of_files(&self, block_bytes: u64) -> u64 {
        let ends = self.files().into_iter().flat_map(|(_, file)| &file.extents).map(|extent| {
            let bytes = u64::from(extent.byte_offset).saturating_add(extent.bytes);
            extent.start.block.saturating_add(bytes.div_ceil(block_bytes))
        });
        ends.max().unwrap_or(0)
    }
}

/// The partition that a letter of an index names.
fn partition_of(letter: &str) -> Result<Partition, String> {
    match letter {
        "a" => Ok(Partition::Index),
        "b" => Ok(Partition::Data),
        other => Err(format!("partition {other:?} is neither a nor b")),
    }
}
