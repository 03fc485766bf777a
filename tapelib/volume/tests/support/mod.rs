//! Packs for tests.

use ulid::Ulid;
use volume::pack::{Member, MemberId, ObjectRecord, Options, PackId, PackSummary, PackWriter};

/// Keys that are hard on file names and on parsers.
pub const ODD_KEYS: [&str; 23] = [
    "a",
    "a/b",
    "a/b/c",
    "x//y",
    "x/y",
    "/x",
    "nul\0key",
    "/",
    "//",
    "dir/",
    "..",
    "../../../../etc/passwd",
    "./.",
    "100%",
    "a%2Fb",
    "a~b/c",
    "tab\tnew\nline\r\u{1}\u{7f}\u{85}",
    "with space + plus",
    "back\\slash",
    "ключ/キー/🎞",
    "e\u{301}/é",
    "-rf",
    "quote'\"$(x)`",
];

pub fn pack_id() -> PackId {
    PackId(Ulid(0x0192_0000_0000_0000_0000_0000_0000_0001))
}

/// A member named `key` in bucket `bucket`; `number` makes its id.
pub fn member(number: u128, key: &str, length: u64) -> Member {
    let record = ObjectRecord {
        bucket: "bucket".into(),
        key: key.into(),
        version_id: Some(format!("version-{number}")),
        etag: "d41d8cd98f00b204e9800998ecf8427e".into(),
        last_modified_ms: 1_700_000_000_123,
        size: length,
        class: "GLACIER".into(),
        headers: vec![("content-type".into(), "text/plain".into())],
        metadata: vec![("owner".into(), "Zoë\n= 1".into())],
        tags: vec![("k".into(), "v".into())],
        ..ObjectRecord::default()
    };
    Member { id: MemberId(Ulid((0x0192_u128 << 112) + number)), length, segment: None, record }
}

/// Bytes that differ by seed; even seeds compress, odd seeds do not.
pub fn data(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut out);
    if seed.is_multiple_of(2) {
        out.iter_mut().for_each(|byte| *byte = b'a' + *byte % 4);
    }
    out
}

/// A pack of the given members and their data.
pub fn pack(members: &[(Member, Vec<u8>)], workers: usize) -> (Vec<u8>, PackSummary) {
    let mut writer =
        PackWriter::new(Vec::new(), pack_id(), &Options { level: 1, workers, ..Options::default() }).unwrap();
    for (member, data) in members {
        writer.begin_member(member.clone()).unwrap();
        data.chunks(100_000).for_each(|chunk| writer.write(chunk).unwrap());
        writer.end_member().unwrap();
    }
    writer.finish().unwrap()
}
