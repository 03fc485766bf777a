//! Packs for tests, and what they must hold.

use std::fs::File;
use std::path::{Path, PathBuf};

use library::{AppendError, Appending, CopyLabel, Mounted, PackFile};
use ulid::Ulid;
use volume::journal::Entry;
use volume::pack::{
    Member, MemberId, ObjectRecord, Options, PackId, PackSummary, PackWriter, PartRecord, Segment,
};
use volume::seal::SealingKey;

/// Keys that are hard on file names and on parsers.
pub const ODD_KEYS: [&str; 24] = [
    "a",
    "a/b",
    "x//y",
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
    "with space + plus=equal",
    "back\\slash",
    "ключ/キー/🎞",
    "e\u{301}/é",
    "-rf",
    "quote'\"$(x)`&<>",
    "\u{feff}bom\u{2028}",
    ".hidden",
    "Ünï.%-",
];

/// A spooled pack and its members' bytes.
pub struct Pack {
    pub id: String,
    pub path: PathBuf,
    pub summary: PackSummary,
    pub members: Vec<(Member, Vec<u8>)>,
}

impl Pack {
    pub fn append(&self, mounted: &mut Mounted<Appending>) -> Result<(), AppendError> {
        let file = PackFile {
            id: self.id.clone(),
            path: self.path.clone(),
            bytes: self.summary.bytes,
            digest: self.summary.digest.0,
            sealed: self.summary.key.is_some(),
            manifest: &self.summary.manifest,
            copy: CopyLabel::default(),
        };
        mounted.append_pack(&file).map(|_| ())
    }

    /// What a journal says of it.
    pub fn entry(&self) -> Entry {
        Entry::PackCommitted {
            pack: self.id.clone(),
            start_block: 0,
            bytes: self.summary.bytes,
            digest: self.summary.digest.to_string(),
        }
    }
}

/// Writes a pack into the spool directory.
pub fn spool(dir: &Path, number: u128, members: Vec<(Member, Vec<u8>)>) -> Pack {
    spool_sealed(dir, number, members, None)
}

/// Writes a pack, sealed when there is a key.
pub fn spool_sealed(
    dir: &Path,
    number: u128,
    members: Vec<(Member, Vec<u8>)>,
    key: Option<SealingKey>,
) -> Pack {
    let id = PackId(Ulid((0x0193_u128 << 112) + number));
    let path = dir.join(format!("{id}.spool"));
    let options = Options { level: 1, workers: 1, key };
    let mut writer = PackWriter::new(File::create(&path).unwrap(), id, &options).unwrap();
    for (member, data) in &members {
        writer.begin_member(member.clone()).unwrap();
        writer.write(data).unwrap();
        writer.end_member().unwrap();
    }
    let (_, summary) = writer.finish().unwrap();
    Pack { id: id.to_string(), path, summary, members }
}

/// Every odd key twice, long ones, an empty member, segments, and one larger than a frame.
pub fn odd_members() -> Vec<(Member, Vec<u8>)> {
    let long = [
        "k".repeat(1_024),
        format!("{}./x", "a".repeat(254)),
        format!("{}/f", "\u{1}".repeat(1_020)),
        format!("{}.{}", "é".repeat(126), "~".repeat(300)),
    ];
    let keys = ODD_KEYS.iter().map(ToString::to_string).chain(long);
    let keys: Vec<String> = keys.flat_map(|key| [key.clone(), key]).collect();
    let mut members: Vec<(Member, Vec<u8>)> = Vec::new();
    for (key, number) in keys.iter().zip(0_u64..) {
        members.push(member(u128::from(number), key, data(number, number as usize * 37)));
    }
    for index in 1..=2 {
        let (mut part, bytes) = member(900, "segmented", data(u64::from(index), 1_000));
        part.record.size = 2_000;
        part.segment = Some(Segment { index, count: 2 });
        members.push((part, bytes));
    }
    members.push(member(901, "larger than a frame", data(3, 9 << 20)));
    members
}

/// A member named `key`, with a full record.
pub fn member(number: u128, key: &str, bytes: Vec<u8>) -> (Member, Vec<u8>) {
    let length = bytes.len() as u64;
    let part = |number| PartRecord {
        number,
        size: 5,
        etag: "e".into(),
        checksums: vec![("CRC32".into(), "AAAAAA==".into())],
    };
    let record = ObjectRecord {
        bucket: "bücket.%~".into(),
        key: key.into(),
        version_id: Some(format!("version-{number}")),
        etag: "d41d8cd98f00b204e9800998ecf8427e".into(),
        last_modified_ms: [1_700_000_000_123, 1_700_000_000_000, 1, 0][(number % 4) as usize],
        size: length,
        class: "GLACIER".into(),
        headers: vec![("content-type".into(), "text/plain".into())],
        metadata: vec![("owner".into(), "Zoë\n= 1".into())],
        tags: vec![("k".into(), "v".into())],
        parts: vec![part(1), part(2)],
        lock_until_ms: Some(i64::MAX),
        legal_hold: number % 2 == 1,
        ..ObjectRecord::default()
    };
    let id = MemberId(Ulid((0x0192_u128 << 112) + number));
    (Member { id, length, segment: None, record }, bytes)
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
