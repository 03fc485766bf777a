//! Packs an attacker who knows the format would write: every digest fits, the contents do not.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::io::{Cursor, Write};

use proptest::prelude::*;
use ulid::Ulid;

use super::limits::MANIFEST_BYTES_MAX;
use super::seek::{FrameSizes, Trailer, encode_table, encode_trailer};
use super::{
    Digest, Error, Extent, ManifestEntry, ManifestReader, Member, MemberId, ObjectRecord, Options, PackId,
    PackReader, PackWriter, Scan,
};

const PACK: PackId = PackId(Ulid(1));

/// The tar of a small pack.
fn plaintext() -> Vec<u8> {
    let options = Options { level: 1, workers: 1, ..Options::default() };
    let mut writer = PackWriter::new(Vec::new(), PACK, &options).unwrap();
    for (number, length) in [(1, 3), (2, 6_000)] {
        let record =
            ObjectRecord { bucket: "b".into(), key: "k".into(), size: length, ..ObjectRecord::default() };
        writer.begin_member(Member { id: MemberId(Ulid(number)), length, segment: None, record }).unwrap();
        writer.write(&vec![b'x'; length as usize]).unwrap();
        writer.end_member().unwrap();
    }
    zstd::stream::decode_all(writer.finish().unwrap().0.as_slice()).unwrap()
}

/// A pack around any plaintext, its seek table telling of the true frames plus `lies`.
fn around(plain: &[u8], manifest: Extent, lies: &[(u32, u32)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut frames = Vec::new();
    for piece in plain.chunks(5_000) {
        let frame = zstd::stream::encode_all(piece, 1).unwrap();
        frames.push(FrameSizes { compressed: frame.len() as u32, plain: piece.len() as u32 });
        bytes.extend(frame);
    }
    for ((compressed, plain), at) in lies.iter().zip(0..) {
        let pair = at % frames.len();
        // Sums stay true, so that the lie gets past the door.
        let other = (pair + 1) % frames.len();
        let (from, to) = (frames[pair], frames[other]);
        let shift = (compressed % from.compressed, plain % from.plain);
        frames[pair] = FrameSizes { compressed: from.compressed - shift.0, plain: from.plain - shift.1 };
        let to = if pair == other { frames[pair] } else { to };
        frames[other] = FrameSizes { compressed: to.compressed + shift.0, plain: to.plain + shift.1 };
    }
    let table = encode_table(&frames);
    let within = |extent: Extent| &plain[extent.offset as usize..(extent.offset + extent.length) as usize];
    bytes.extend(encode_trailer(&Trailer {
        pack: PACK,
        members: 2,
        frames: frames.len() as u32,
        plain_bytes: plain.len() as u64,
        manifest_offset: manifest.offset,
        manifest_bytes: manifest.length,
        manifest_digest: Digest::of(within(manifest)),
        table_digest: Digest::of(&table),
    }));
    bytes.extend(table);
    bytes
}

/// Reads whatever can be read, in every way.
fn read_all(bytes: &[u8]) -> Result<(), Error> {
    let drain = |mut reader: Box<dyn std::io::Read + '_>| {
        std::io::copy(&mut reader, &mut std::io::sink()).map_err(|error| Error::from_read(0, error))
    };
    let mut sequential = Scan::sequential(bytes)?;
    let sequential = loop {
        match sequential.next_member() {
            Ok(Some(_)) => drop(drain(Box::new(&mut sequential))),
            other => break other.map(drop),
        }
    };
    let mut reader = PackReader::open(Cursor::new(bytes), bytes.len() as u64)?;
    let entries: Vec<_> = reader.manifest().map(|manifest| manifest.map_while(Result::ok).collect())?;
    for entry in entries {
        let extent = Extent { offset: entry.offset, length: entry.length };
        drain(Box::new(reader.member(extent, Some(entry.digest))?))?;
    }
    let mut scan = reader.members()?;
    while scan.next_member()?.is_some() {}
    sequential
}

/// Where the manifest lies in [`plaintext`].
fn manifest_in(plain: &[u8]) -> Extent {
    let start = b"{\"tapegate_manifest\"";
    let offset = plain.windows(start.len()).position(|window| window == start).unwrap();
    let end = plain.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    Extent { offset: offset as u64, length: (end - offset) as u64 }
}

#[test]
fn a_manifest_that_expands_without_end_is_refused() {
    let entry = ManifestEntry {
        id: MemberId(Ulid(2)),
        segment: None,
        offset: 0,
        length: 0,
        digest: Digest::of(b""),
        record: ObjectRecord { acl: Some("x".repeat(2_000_000)), ..ObjectRecord::default() },
    };
    let mut line = serde_json::to_vec(&entry).unwrap();
    line.push(b'\n');
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.write_all(format!("{{\"tapegate_manifest\":1,\"pack\":\"{PACK}\"}}\n").as_bytes()).unwrap();
    let lines = MANIFEST_BYTES_MAX as usize / line.len() + 1;
    (0..lines).for_each(|_| encoder.write_all(&line).unwrap());
    encoder.write_all(format!("{{\"members\":{lines}}}\n").as_bytes()).unwrap();
    let bomb = encoder.finish().unwrap();
    let last = ManifestReader::compressed(&bomb[..]).unwrap().last();
    assert!(matches!(last, Some(Err(Error::Damaged { .. }))));
}

#[test]
fn a_pack_cut_into_other_frames_is_read_all_the_same() {
    let plain = plaintext();
    read_all(&around(&plain, manifest_in(&plain), &[])).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_plaintext_is_survived(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..12),
        removed in proptest::option::of((any::<proptest::sample::Index>(), 1_usize..2_000)),
    ) {
        let mut plain = plaintext();
        let mut manifest = manifest_in(&plain);
        for (at, value) in edits {
            let at = at.index(plain.len());
            plain[at] = value;
        }
        if let Some((at, length)) = removed {
            let at = at.index(plain.len());
            plain.drain(at..(at + length).min(plain.len()));
            manifest.offset = manifest.offset.min(plain.len() as u64);
            manifest.length = manifest.length.min(plain.len() as u64 - manifest.offset);
        }
        drop(read_all(&around(&plain, manifest, &[])));
    }

    #[test]
    fn a_seek_table_that_lies_is_seen(lies in proptest::collection::vec((any::<u32>(), any::<u32>()), 1..4)) {
        let plain = plaintext();
        let manifest = manifest_in(&plain);
        let honest = around(&plain, manifest, &[]);
        let lying = around(&plain, manifest, &lies);
        prop_assert!(lying == honest || read_all(&lying).is_err());
    }
}
