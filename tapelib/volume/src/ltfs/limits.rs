//! Every bound of this room's LTFS part.

/// Bytes of every block of a file but the last, and of an index but the last; in the label as `blocksize`.
pub const BLOCK_BYTES: usize = LABEL_BLOCK_SIZE as usize;

/// The same as the label says it.
pub const LABEL_BLOCK_SIZE: u32 = 524_288;

/// Longest XML label accepted. (Writers keep to 4 096 bytes.)
pub const LABEL_BYTES_MAX: usize = 4096;

/// Longest index read or written.
pub const INDEX_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most files and directories of one volume.
pub const NODES_MAX: usize = 1_000_000;

/// Deepest directory read.
pub const DEPTH_MAX: usize = 32;

/// Most extents of one file read.
pub const EXTENTS_MAX: usize = 65_536;

/// Longest name, key or value read from an index.
pub const TEXT_BYTES_MAX: usize = 65_536;

/// How many filemarks are looked at, from the end of data backwards, for the newest index.
pub const WALK_BACK_MAX: u32 = 4096;

/// Space for one more file entry in an index.
pub const FILE_ENTRY_BYTES: u64 = 2048;

const _: () = assert!(LABEL_BYTES_MAX <= BLOCK_BYTES);
const _: () = assert!(BLOCK_BYTES >= 4096); // the smallest block size LTFS allows
const _: () = assert!(BLOCK_BYTES < 1 << 24); // WRITE(6) has 24 bits of length
