//! Every limit of a pack, and how they hold together.

/// Members of one pack, the manifest not counted.
pub const MEMBERS_MAX: u32 = 100_000;
/// Plaintext of a frame that holds whole small members, headers included.
pub const SMALL_FRAME_BYTES_MAX: u64 = 1 << 20;
/// Plaintext of a frame that holds a part of a large member.
pub const LARGE_FRAME_BYTES_MAX: u64 = 8 << 20;
/// Plaintext of a frame that holds a part of a member longer than [`HUGE_MEMBER_BYTES`].
pub const HUGE_FRAME_BYTES_MAX: u64 = 64 << 20;
/// A member longer than this is cut into frames of [`HUGE_FRAME_BYTES_MAX`].
pub const HUGE_MEMBER_BYTES: u64 = 1 << 30;
/// Frames of one pack; its seek table then takes 8 MiB.
pub const FRAMES_MAX: u32 = 1 << 20;
/// JSON of one object record: 10 000 parts with checksums fit.
pub const RECORD_BYTES_MAX: usize = 2 << 20;
/// Records of one pax extended header together.
pub const PAX_BYTES_MAX: usize = 3 << 20;
/// Plaintext of a manifest. A pack that would pass it takes no further member.
pub const MANIFEST_BYTES_MAX: u64 = 128 << 20;
/// What one manifest line adds to its record's JSON, at most.
pub const MANIFEST_LINE_OVERHEAD: u64 = 384;
/// Bytes of an object key, as S3 allows.
pub const KEY_BYTES_MAX: usize = 1_024;
/// Bytes of a bucket name; S3 allows 63, old stores 255.
pub const BUCKET_BYTES_MAX: usize = 255;
/// Segments of one object: the five digits of a member name.
pub const SEGMENTS_MAX: u32 = 99_999;
/// Length of one member, and of a pack's whole plaintext.
pub const PLAIN_BYTES_MAX: u64 = 1 << 50;
/// Base-2 logarithm of the zstd window a reader accepts. The writer stays at or below 23.
pub const WINDOW_LOG_MAX: u32 = 26;
/// zstd levels the writer uses; above 19 the window would grow past 8 MiB.
pub const LEVEL_MIN: i32 = 1;
/// See [`LEVEL_MIN`].
pub const LEVEL_MAX: i32 = 19;
/// The level at which bytes are stored as they are.
pub const LEVEL_STORED: i32 = 0;

/// What is handed to a compression thread at a time.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

const _: () = assert!(CHUNK_BYTES as u64 == SMALL_FRAME_BYTES_MAX, "a small frame is one chunk");
const _: () = assert!(SMALL_FRAME_BYTES_MAX <= LARGE_FRAME_BYTES_MAX);
const _: () = assert!(LARGE_FRAME_BYTES_MAX <= HUGE_FRAME_BYTES_MAX);
const _: () = assert!(HUGE_FRAME_BYTES_MAX <= 1 << 30, "the seekable format allows 1 GiB a frame");
const _: () = assert!(FRAMES_MAX <= 0x0800_0000, "the seekable format allows 2^27 frames");
const _: () = assert!(MEMBERS_MAX < FRAMES_MAX / 4, "a member ends at most two frames early");
const _: () = assert!(RECORD_BYTES_MAX + KEY_BYTES_MAX + 8_192 < PAX_BYTES_MAX);
