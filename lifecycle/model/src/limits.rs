//! The bounds of the house, in one place, with their relations checked when it is built.

/// Longest piece of a [`crate::ByteStream`], in bytes.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// Size of a stub's body, in bytes: odd and fixed, so that a listing shows its candidates.
pub const STUB_BYTES: u64 = 1531;
/// Most bytes of user metadata S3 allows on an object, names and values together.
pub const METADATA_BYTES_MAX: usize = 2048;
/// Room the reserved header takes among an object's user metadata at most, name and value together.
pub const MARKER_BYTES_MAX: usize = 256;
/// Most keys one listing page returns.
pub const LIST_KEYS_MAX: usize = 1000;
/// Most versions of one key that are looked through.
pub const KEY_VERSIONS_MAX: usize = 10_000;
/// Largest object, in bytes (5 TiB).
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;
/// Largest single PUT or part, in bytes (5 GiB).
pub const PUT_BYTES_MAX: u64 = 5 << 30;
/// Shortest part of an upload but the last, in bytes.
pub const PART_BYTES_MIN: u64 = 5 << 20;
/// Highest part number of a multipart upload.
pub const PARTS_MAX: u32 = 10_000;
/// How long a mutation waits for a flip of its key, and a flip for the mutations, in milliseconds.
pub const FENCE_WAIT_MILLISECONDS: u64 = 2_000;
/// Smallest object that transitions unless a rule or the bucket's setting says otherwise, in bytes.
pub const TRANSITION_BYTES_MIN: u64 = 128 << 10;
/// Most archive rows one catalog transaction may change.
pub const TRANSACTION_ROWS_MAX: usize = 2_000;

const _: () =
    assert!(STUB_BYTES < TRANSITION_BYTES_MIN, "a stub must be smaller than what it replaces by default");
const _: () = assert!(MARKER_BYTES_MAX < METADATA_BYTES_MAX);
const _: () = assert!(PUT_BYTES_MAX < OBJECT_BYTES_MAX);
const _: () = assert!(LIST_KEYS_MAX <= TRANSACTION_ROWS_MAX);
