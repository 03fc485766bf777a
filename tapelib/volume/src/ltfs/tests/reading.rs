//! Reading: what moves the tape, and places that cannot be.

use super::*;

#[test]
fn what_lies_a_little_ahead_is_reached_without_a_locate() {
    let mut tape = formatted(256 * MIB);
    // A commit after every other file: filemarks and an index lie between.
    let mut appender = begin(&mut tape);
    for n in 0..12 {
        append(&mut tape, &mut appender, n).unwrap();
        if n % 2 == 1 {
            appender.commit(&mut tape).unwrap();
        }
    }
    let far = vec![7; 70 * BLOCK_BYTES];
    for name in ["far-1", "far-2", "far-3"] {
        let bytes = far.len() as u64;
        appender
            .append_file(&mut tape, ("packs", name), &mut &far[..], bytes, FileAttributes::default())
            .unwrap();
    }
    appender.close(&mut tape).unwrap();
    let mut volume = open(&mut tape).unwrap();
    let start = |volume: &Volume, name: &str| {
        volume.index().file(&format!("/packs/{name}")).unwrap().extents[0].start
    };
    let read = |tape: &mut MemoryTape, volume: &mut Volume, name: &str, expected: &[u8]| {
        let (before, mut bytes) = (tape.locates, Vec::new());
        volume.read_file(tape, &format!("/packs/{name}"), &mut bytes).unwrap();
        assert!(bytes == expected, "{name} differs");
        tape.locates - before
    };
    let numbered = |n: usize| (format!("{n}.tar.zst"), content(n));
    let moves = [1, 2, 4, 11].map(|n| {
        let (name, bytes) = numbered(n);
        read(&mut tape, &mut volume, &name, &bytes)
    });
    assert_eq!(moves, [1, 0, 0, 0], "ahead");
    assert_eq!(read(&mut tape, &mut volume, &numbered(3).0, &content(3)), 1, "back");
    // One that cannot be read lies between.
    tape.bad_blocks.push(start(&volume, "4.tar.zst"));
    assert_eq!(read(&mut tape, &mut volume, &numbered(5).0, &content(5)), 1, "over a bad block");
    assert_eq!(read(&mut tape, &mut volume, "far-1", &far), 0);
    assert_eq!(read(&mut tape, &mut volume, "far-3", &far), 0, "70 blocks ahead");
    assert_eq!(read(&mut tape, &mut volume, "far-1", &far), 1);
    volume.read(&mut tape, start(&volume, "far-1").block, 0..1, &mut std::io::sink()).unwrap();
    assert_eq!(read(&mut tape, &mut volume, "far-3", &far), 1, "139 blocks ahead");
}

#[test]
fn an_extent_that_lies_is_an_error() {
    let mut tape = formatted(64 * MIB);
    let mut appender = begin(&mut tape);
    append(&mut tape, &mut appender, 4).unwrap();
    appender.close(&mut tape).unwrap();
    let mut volume = open(&mut tape).unwrap();
    let start = volume.index().file("/packs/4.tar.zst").unwrap().extents[0].start.block;
    let beyond =
        [(start, 0..u64::MAX), (start, 600_000..700_000), (u64::MAX, 0..1), (1, 0..10), (start + 2, 0..1)];
    for (start, range) in beyond {
        assert!(volume.read(&mut tape, start, range, &mut std::io::sink()).is_err());
    }
    let mut bytes = Vec::new();
    volume.read(&mut tape, start, 524_280..524_289, &mut bytes).unwrap();
    assert_eq!(bytes, content(4)[524_280..]);
}

#[test]
fn a_hole_does_not_become_zeros_without_end() {
    let mut tape = formatted(64 * MIB);
    let mut appender = begin(&mut tape);
    let extent = append(&mut tape, &mut appender, 1).unwrap();
    let hole = Extent { file_offset: 1 << 60, ..extent };
    appender.list("packs", "hole", hole, FileAttributes::default()).unwrap();
    appender.close(&mut tape).unwrap();
    let mut volume = open(&mut tape).unwrap();
    let read = volume.read_file(&mut tape, "/packs/hole", &mut std::io::sink());
    assert!(matches!(read, Err(Error::Data { .. })));
}
