//! What an administrator decides about the background work. Data only; parsed and checked by the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use library::Generation;
use model::bucket::BucketSettings;
use model::time::DayLength;
use model::{BucketName, ObjectKey, PoolName, TapeClass};
use volume::seal::KeyName;

/// Settings of the engine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a lifecycle or restore day is.
    pub day: DayLength,
    /// What holds for buckets where no command said otherwise.
    pub buckets: BucketSettings,
    /// How often the store is asked what a bucket is set to, before objects of it are taken over.
    pub survey_interval: Duration,
    /// Most flips begun in a second; as many as go when none.
    pub flips_per_second: Option<NonZeroU32>,
    /// How often the buckets with rules are listed.
    pub scan_interval: Duration,
    /// How often expired copies are looked for; clients see the expiry at once whatever it is.
    pub lapse_interval: Duration,
    /// Libraries whose blank cartridges are all ours to label (the virtual ones).
    pub labels_blank: BTreeSet<String>,
    /// The pool behind each tape class.
    pub classes: BTreeMap<TapeClass, PoolName>,
    /// The pools.
    pub pools: BTreeMap<PoolName, PoolSettings>,
    /// The spool.
    pub spool: SpoolSettings,
    /// Time between `Taped` and the flip, so that downloads under way can end.
    pub grace: Duration,
    /// How long a message to the store can still change it after it was sent: the store's request time-out.
    pub store_deadline: Duration,
    /// Restores stay ongoing at least that long (tests only).
    pub restore_hold: Duration,
    /// How long an emptied cartridge is left as it is before it is labelled anew.
    pub reuse_after: Duration,
    /// How long a failed archive is set aside before it is tried again; doubles with every failure, up to a day.
    pub retry_after: Duration,
}

/// One pool.
#[derive(Clone, Debug)]
pub struct PoolSettings {
    /// Name of the library its volumes live in.
    pub library: String,
    /// Sibling pools that get a copy each.
    pub copies: Vec<PoolName>,
    /// A pack is finished at this size, in bytes of what is put in.
    pub pack_bytes_target: u64,
    /// A pack is finished, however small, when nothing new has come for this long.
    pub quiet: Duration,
    /// What no journal on tape tells yet (deaths, changed records) waits so long at most before a volume is mounted for
    /// its sake alone: a catalog rebuilt from tape lacks no more than that.
    pub journal_after: Duration,
    /// Name of the key its packs are sealed with, if they are.
    pub key: Option<KeyName>,
    /// Who compresses.
    pub compression: Compression,
    /// Which objects are to lie together.
    pub affinity: Affinity,
    /// The only generation of cartridges it takes; any when none.
    pub generation: Option<Generation>,
    /// Most mounts for writing at a time, and volumes filling.
    pub drives_max: usize,
    /// So many waiting bytes are worth a mount.
    pub mount_bytes: u64,
    /// So old waiting work is worth a mount, however little it is.
    pub mount_age: Duration,
    /// When what was written is read back.
    pub verify: Verify,
}

/// When a written copy is read back and compared with its digest. Whatever it is, hot bytes are freed only when every
/// copy is as far as its own pool asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// In a mount of its own, batched per volume.
    #[default]
    Deferred,
    /// Right after the mount that wrote it, while the cartridge is still in its drive.
    Inline,
    /// Not at all: a copy counts once its commit point has passed.
    Never,
}

/// Who compresses what goes to tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// The gateway, when packs are built, at this zstd level.
    Zstd(i32),
    /// The drive.
    Drive,
    /// Nobody.
    None,
}

/// Which objects of a pool are to lie together in packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Those that become due at the same time.
    None,
    /// Those of a bucket.
    Bucket,
    /// Those of a bucket whose keys agree in so many components (what stands between slashes).
    Prefix(usize),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zstd(_) => "zstd",
            Self::Drive => "drive",
            Self::None => "none",
        })
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Bucket => f.write_str("bucket"),
            Self::Prefix(components) => write!(f, "prefix:{components}"),
        }
    }
}

impl Affinity {
    /// Objects with the same text here lie together.
    pub(crate) fn group(self, bucket: &BucketName, key: &ObjectKey) -> String {
        match self {
            Self::None => String::new(),
            Self::Bucket => bucket.as_str().to_owned(),
            Self::Prefix(components) => {
                let key = key.as_str();
                let end =
                    key.match_indices('/').nth(components.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
                // A key of fewer components lies beside those of its last one.
                let end = if end == 0 { key.rfind('/').map_or(0, |at| at + 1) } else { end };
                format!("{bucket}/{}", &key[..end])
            }
        }
    }
}

/// The spool: a folder that survives nothing and may be lost at any time.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// The folder.
    pub folder: PathBuf,
    /// Most bytes it may hold; reached, intake waits.
    pub bytes_max: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_lies_together() {
        let bucket = BucketName::parse("photos").unwrap();
        let group = |affinity: Affinity, key: &str| affinity.group(&bucket, &ObjectKey::parse(key).unwrap());
        assert_eq!(group(Affinity::None, "a/b/c"), "");
        assert_eq!(group(Affinity::Bucket, "a/b/c"), "photos");
        for (components, key, expected) in [
            (1, "a/b/c", "photos/a/"),
            (2, "a/b/c", "photos/a/b/"),
            (3, "a/b/c", "photos/a/b/"),
            (1, "a", "photos/"),
            (1, "/a", "photos//"),
        ] {
            assert_eq!(group(Affinity::Prefix(components), key), expected, "{components} of {key}");
        }
    }
}
