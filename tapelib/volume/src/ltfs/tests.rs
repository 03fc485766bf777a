//! A volume's whole life on a tape in memory, power cuts included.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use proptest::prelude::*;

use super::index::{Directory, Extent, File, Index, Node};
use super::limits::BLOCK_BYTES;
use super::memory_tape::{MemoryTape, Record};
use super::*;

mod reading;

const MIB: u64 = 1 << 20;

fn new_volume() -> NewVolume {
    NewVolume {
        serial: VolumeSerial::parse("TST001").unwrap(),
        uuid: VolumeUuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef),
        catalog_id: CatalogId::from_u128(0xca7a_1090_0000_4000_8000_0000_0000_0001),
        name: "TST001L8".to_owned(),
        barcode: "TST001L8".to_owned(),
    }
}

fn formatted(capacity_bytes: u64) -> MemoryTape {
    let mut tape = MemoryTape::blank(capacity_bytes);
    format(&mut tape, &new_volume()).unwrap();
    tape
}

/// The content of file number `n`: its length varies around block limits.
fn content(n: usize) -> Vec<u8> {
    let bytes = [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES][n % 6];
    let mut content = vec![n as u8; bytes];
    if let Some(last) = content.last_mut() {
        *last ^= 0x5a;
    }
    content
}

fn append(tape: &mut MemoryTape, appender: &mut Appender, n: usize) -> Result<Extent, Error> {
    let content = content(n);
    let name = format!("{n}.tar.zst");
    let bytes = content.len() as u64;
    appender.append_file(tape, ("packs", &name), &mut &content[..], bytes, FileAttributes::default())
}

fn begin(tape: &mut MemoryTape) -> Appender {
    let (volume, tail) = open_at_end(tape).unwrap();
    Appender::begin(tape, volume, tail).unwrap()
}

fn check_files(tape: &mut MemoryTape, volume: &mut Volume, count: usize) {
    assert_eq!(volume.index().files().len(), count);
    for n in 0..count {
        let mut read = Vec::new();
        volume.read_file(tape, &format!("/packs/{n}.tar.zst"), &mut read).unwrap();
        assert!(read == content(n), "file {n} differs");
    }
}

#[test]
fn a_new_volume_stands_as_the_standard_says() {
    let mut tape = formatted(64 * MIB);
    for partition in Partition::BOTH {
        let records = tape.records(partition);
        assert_eq!(records.len(), 7);
        let marks: Vec<usize> = (0..7).filter(|&at| records[at] == Record::Filemark).collect();
        assert_eq!(marks, [1, 3, 4, 6]);
        let Record::Block(vol1) = &records[0] else { panic!() };
        let expected = format!("VOL1TST001L{}LTFS{}4", " ".repeat(13), " ".repeat(51));
        assert_eq!(std::str::from_utf8(vol1).unwrap(), expected);
    }
    let Record::Block(index) = &tape.records(Partition::Data)[5] else { panic!() };
    let text = std::str::from_utf8(index).unwrap();
    assert!(
        text.starts_with(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ltfsindex version=\"2.4.0\">\n<creator>"
        )
    );
    assert!(text.contains("<location>\n<partition>b</partition>\n<startblock>5</startblock>\n</location>\n"));
    assert!(!text.contains("previousgenerationlocation"));
    let Record::Block(index) = &tape.records(Partition::Index)[5] else { panic!() };
    let text = std::str::from_utf8(index).unwrap();
    let previous = "<previousgenerationlocation>\n<partition>b</partition>\n<startblock>5</startblock>\n";
    assert!(text.contains(previous));

    let coherency = tape.read_attribute(Partition::Data, memory::VOLUME_COHERENCY).unwrap().unwrap().value;
    assert_eq!(coherency.len(), 70);
    assert_eq!(&coherency[9..27], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 43]);
    assert_eq!(&coherency[27..], b"LTFS\x0012345678-9abc-4def-8123-456789abcdef\x00\x01");
    assert_eq!(memory::medium_serial(&mut tape).unwrap(), "MEM0001");

    let (volume, tail) = open_at_end(&mut tape).unwrap();
    assert_eq!(tail, Tail { generation: 1, index_end: 7, end_of_data: 7, noted: Some(1) });
    assert_eq!(volume.catalog_id(), Some(new_volume().catalog_id));
    assert_eq!(identify(&mut tape).unwrap(), Found::Volume(volume.label().clone()));
    assert_eq!(identify(&mut MemoryTape::blank(MIB)).unwrap(), Found::Blank);
}

#[test]
fn files_come_back_over_several_mounts() {
    let mut tape = formatted(64 * MIB);
    let mut expected_end = 7;
    for mount in 0..3 {
        let mut appender = begin(&mut tape);
        assert_eq!(appender.committed(), Committed { generation: 1 + 2 * mount, end_of_data: expected_end });
        for n in 0..4 {
            append(&mut tape, &mut appender, mount as usize * 4 + n).unwrap();
            if n == 1 {
                appender.commit(&mut tape).unwrap();
            }
        }
        let committed = appender.close(&mut tape).unwrap();
        assert_eq!(committed.generation, 3 + 2 * mount);
        expected_end = committed.end_of_data;
        let mut volume = open(&mut tape).unwrap();
        assert_eq!(volume.index().location, BlockAddress { partition: Partition::Index, block: 5 });
        check_files(&mut tape, &mut volume, (mount as usize + 1) * 4);
        let (volume, _) = open_at_end(&mut tape).unwrap();
        let ids: std::collections::BTreeSet<u64> =
            volume.index().files().iter().map(|(_, file)| file.node.file_id).collect();
        assert_eq!(ids.len(), (mount as usize + 1) * 4);
        assert!(volume.index().highest_file_id >= *ids.last().unwrap());
    }
}

#[test]
fn a_mount_that_appends_nothing_changes_nothing() {
    let mut tape = formatted(64 * MIB);
    let before = tape.records(Partition::Index).to_vec();
    begin(&mut tape).close(&mut tape).unwrap();
    assert_eq!(tape.records(Partition::Index), before);
    assert_eq!(tape.records(Partition::Data).len(), 7);
}

/// Appends and commits until the power goes; returns how many files a commit that returned covers.
fn work(tape: &mut MemoryTape) -> usize {
    let mut durable = 0;
    let mut run = || -> Result<(), Error> {
        let (volume, tail) = open_at_end(tape)?;
        let mut appender = Appender::begin(tape, volume, tail)?;
        for n in 0..6 {
            append(tape, &mut appender, n)?;
            if n % 2 == 1 {
                appender.commit(tape)?;
                durable = n + 1;
            }
        }
        appender.close(tape)?;
        Ok(())
    };
    assert!(matches!(run(), Ok(()) | Err(Error::Tape(_))));
    durable
}

#[test]
fn a_power_cut_anywhere_keeps_every_commit_that_returned() {
    let fresh = formatted(64 * MIB);
    for commands in 0..40 {
        let mut tape = fresh.clone();
        tape.commands_left = Some(commands);
        let durable = work(&mut tape);
        let buffered = tape.buffered();
        for keep in std::collections::BTreeSet::from([0, 1, 2, buffered / 2, buffered]) {
            let mut tape = tape.after_power_cut(keep);
            let (mut volume, tail) = open_at_end(&mut tape).unwrap();
            let found = volume.index().files().len();
            // An index whose closing filemark reached the tape counts although nobody was told.
            assert!(found == durable || (found > durable && tail.generation > 1 && found % 2 == 0));
            check_files(&mut tape, &mut volume, found);
            let mut for_reading = open(&mut tape).unwrap();
            assert_eq!(for_reading.index().generation, tail.generation);
            check_files(&mut tape, &mut for_reading, found);

            let before = tape.records(Partition::Data).to_vec();
            let mut appender = begin(&mut tape);
            append(&mut tape, &mut appender, found).unwrap();
            appender.close(&mut tape).unwrap();
            assert_eq!(tape.records(Partition::Data)[..before.len()], before[..], "nothing is overwritten");
            let mut volume = open(&mut tape).unwrap();
            assert!(volume.index().generation > tail.generation);
            check_files(&mut tape, &mut volume, found + 1);
        }
    }
}

/// The generations of every index that a filemark closes, in tape order.
fn generations(tape: &MemoryTape) -> Vec<u64> {
    let runs = tape.records(Partition::Data).split(|record| *record == Record::Filemark);
    let mut runs: Vec<&[Record]> = runs.collect();
    runs.pop(); // what no filemark closes
    let bytes = |run: &[Record]| -> Vec<u8> {
        let blocks =
            run.iter().map(|record| if let Record::Block(block) = record { &block[..] } else { &[] });
        blocks.flatten().copied().collect()
    };
    runs.into_iter()
        .filter_map(|run| index::parse(&bytes(run)[..]).ok())
        .map(|index| index.generation)
        .collect()
}

/// One file committed, and a second one whose index stands on tape whole but for its closing filemark.
fn torn_before_the_closing_filemark() -> MemoryTape {
    let mut tape = formatted(64 * MIB);
    let mut appender = begin(&mut tape);
    append(&mut tape, &mut appender, 0).unwrap();
    appender.commit(&mut tape).unwrap();
    append(&mut tape, &mut appender, 1).unwrap();
    die_before_the_closing_filemark(&mut tape, &mut appender)
}

fn die_before_the_closing_filemark(tape: &mut MemoryTape, appender: &mut Appender) -> MemoryTape {
    tape.closing_filemarks_left = Some(0);
    assert!(appender.commit(tape).is_err());
    let torn = tape.after_power_cut(usize::MAX >> 1);
    let last = torn.records(Partition::Data).last();
    assert!(matches!(last, Some(Record::Block(block)) if block.starts_with(b"<?xml")));
    torn
}

#[test]
fn a_whole_index_without_its_closing_filemark_stays_condemned() {
    let mut tape = torn_before_the_closing_filemark();
    // The next mount dies at the same place; the one after it only closes the volume, as on one that is full.
    for _ in 0..2 {
        let mut appender = begin(&mut tape);
        assert_eq!(appender.committed().generation, 2);
        tape = die_before_the_closing_filemark(&mut tape, &mut appender);
    }
    begin(&mut tape).close(&mut tape).unwrap();
    assert_eq!(generations(&tape), [1, 2, 3], "no torn index was closed by what came after it");
    check_files(&mut tape.clone(), &mut open(&mut tape).unwrap(), 1);
}

#[test]
fn a_torn_index_with_a_file_behind_it_is_no_index() {
    let mut tape = torn_before_the_closing_filemark();
    let mut appender = begin(&mut tape);
    append(&mut tape, &mut appender, 1).unwrap();
    let mut tape = die_before_the_closing_filemark(&mut tape, &mut appender);
    let (mut volume, tail) = open_at_end(&mut tape).unwrap();
    assert_eq!(tail.generation, 2);
    check_files(&mut tape, &mut volume, 1);
}

#[test]
fn an_interrupted_format_never_looks_like_a_volume_without_index() {
    for commands in 0..24 {
        let mut tape = MemoryTape::blank(64 * MIB);
        tape.commands_left = Some(commands);
        let done = format(&mut tape, &new_volume()).is_ok();
        let mut tape = tape.after_power_cut(usize::MAX >> 1);
        match identify(&mut tape).unwrap() {
            Found::Blank | Found::Interrupted(_) => assert!(!done),
            Found::Volume(_) => assert_eq!(open_at_end(&mut tape).unwrap().1.end_of_data, 7),
            Found::Foreign => panic!("after {commands} commands"),
        }
    }
}

#[test]
fn early_warning_in_a_file_abandons_it_and_the_index_still_fits() {
    let mut tape = formatted(32 * MIB);
    tape.early_warning_bytes = 16 * MIB;
    let mut appender = begin(&mut tape);
    append(&mut tape, &mut appender, 0).unwrap();
    let content = vec![7; 24 << 20];
    let attributes = FileAttributes::default;
    let full = appender.append_file(&mut tape, ("packs", "big"), &mut &content[..], 24 * MIB, attributes());
    assert!(matches!(full, Err(Error::Full)));
    assert_eq!(appender.remaining_bytes(&mut tape).unwrap(), 0);
    let committed = appender.close(&mut tape).unwrap();
    assert_eq!(committed.generation, 2);
    check_files(&mut tape.clone(), &mut open(&mut tape).unwrap(), 1);

    // Met only by an index, it counts as well.
    let mut tape = formatted(32 * MIB);
    let mut appender = begin(&mut tape);
    append(&mut tape, &mut appender, 0).unwrap();
    tape.early_warning_bytes = 32 * MIB;
    appender.commit(&mut tape).unwrap();
    assert_eq!(appender.remaining_bytes(&mut tape).unwrap(), 0);

    let mut tape = formatted(8 * MIB);
    let mut appender = begin(&mut tape);
    let records = tape.records(Partition::Data).len();
    let full = appender.append_file(&mut tape, ("packs", "big"), &mut &content[..], 8 * MIB, attributes());
    assert!(matches!(full, Err(Error::Full)));
    assert_eq!(tape.records(Partition::Data).len(), records, "a file that cannot fit is not begun");
}

#[test]
fn an_error_of_any_question_ends_appending() {
    let mut tape = formatted(64 * MIB);
    let mut appender = begin(&mut tape);
    append(&mut tape, &mut appender, 0).unwrap();
    // A drive tells of a buffered block that was lost at whatever it is asked next.
    tape.capacity_unknown = true;
    assert!(matches!(append(&mut tape, &mut appender, 1), Err(Error::Tape(_))));
    tape.capacity_unknown = false;
    assert!(matches!(appender.commit(&mut tape), Err(Error::Poisoned)));
    assert_eq!(generations(&tape), [1]);
}

#[test]
fn a_volume_whose_index_lists_no_more_files_is_full() {
    let mut tape = formatted(1024 * MIB);
    let mut appender = begin(&mut tape);
    let digest = vec![("tapegate.blake3".to_owned(), "0".repeat(64))];
    append(&mut tape, &mut appender, 4).unwrap();
    appender.close(&mut tape).unwrap();
    let (volume, tail) = open_at_end(&mut tape).unwrap();
    let file = volume.index().file("/packs/4.tar.zst").unwrap().clone();
    let room = |count: u64, tape: &mut MemoryTape| {
        let mut volume = volume.clone();
        let files = (0..count).map(|n| File {
            name: format!("{n:064}.tar.zst"),
            node: Node { file_id: 10 + n, attributes: digest.clone(), ..file.node.clone() },
            ..file.clone()
        });
        volume.index.root.directories[0].files = files.collect();
        let written = index::write(&volume.index, Vec::new()).unwrap().len() as u64;
        assert!(written < limits::INDEX_BYTES_MAX, "{count} files can still be read back");
        let mut appender = Appender::begin(tape, volume, tail).unwrap();
        let room = appender.remaining_bytes(tape).unwrap();
        assert_eq!(append(tape, &mut appender, 1).is_ok(), room > 0);
        room
    };
    assert!(room(30_000, &mut tape) > 0);
    let mut tape = tape.after_power_cut(0);
    assert_eq!(room(32_768, &mut tape), 0);
}

#[test]
fn a_source_that_is_short_long_or_broken_is_not_listed() {
    let mut tape = formatted(64 * MIB);
    let mut appender = begin(&mut tape);
    for announced in [1 << 20, 5] {
        let mut source = &[1_u8; 600_000][..];
        let result = appender.append_file(
            &mut tape,
            ("packs", "x"),
            &mut source,
            announced,
            FileAttributes::default(),
        );
        assert!(matches!(result, Err(Error::Source { .. })));
    }
    append(&mut tape, &mut appender, 0).unwrap();
    assert!(matches!(append(&mut tape, &mut appender, 0), Err(Error::Name { what: "it is taken", .. })));
    appender.close(&mut tape).unwrap();
    check_files(&mut tape.clone(), &mut open(&mut tape).unwrap(), 1);
}

#[test]
fn a_bad_block_in_the_newest_index_leaves_the_copy_in_the_index_partition() {
    let mut tape = formatted(64 * MIB);
    let mut appender = begin(&mut tape);
    append(&mut tape, &mut appender, 0).unwrap();
    append(&mut tape, &mut appender, 1).unwrap();
    appender.close(&mut tape).unwrap();
    let at = open_at_end(&mut tape).unwrap().0.index().location;
    tape.bad_blocks.push(at);
    let tail = open_at_end(&mut tape).unwrap().1;
    assert_eq!((tail.generation, tail.noted), (1, Some(2)), "an older generation: the fence sees it");
    check_files(&mut tape.clone(), &mut open(&mut tape).unwrap(), 2);
}

#[test]
fn an_export_holds_every_record_and_attribute() {
    let mut tape = formatted(64 * MIB);
    let dir = tempfile::tempdir().unwrap();
    let files = export_ltfs_dir(&mut tape, dir.path()).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count() as u64, files);
    for name in ["0_0_R", "0_1_F", "0_5_R", "0_7_E", "1_5_R", "1_7_E", "attr_0_80c", "attr_1_80c", "attr_0_9"]
    {
        assert!(dir.path().join(name).exists(), "{name}");
    }
    let coherency = std::fs::read(dir.path().join("attr_1_80c")).unwrap();
    assert_eq!(coherency[..5], [0x08, 0x0c, 0, 0, 70]);
}

fn names() -> impl Strategy<Value = String> {
    "[^/\0\u{FFFE}\u{FFFF}]{1,20}".prop_filter("reserved", |name| super::name::is_valid(name))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_index_reads_back_as_it_was_written(
        volume_name in "[ -~]{0,20}",
        files in prop::collection::vec((names(), any::<u64>(), any::<u32>()), 0..8),
        attribute in names(),
        generation in 1_u64..,
        seconds in 0_i64..200_000_000_000,
    ) {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds as u64);
        let node = |file_id| Node {
            file_id,
            read_only: file_id % 2 == 0,
            created: Timestamp::EPOCH,
            modified: Timestamp::from(time),
            attributes: vec![("key".to_owned(), attribute.clone())],
        };
        let at = BlockAddress { partition: Partition::Data, block: generation };
        let files = files.iter().enumerate().map(|(n, (name, bytes, byte_offset))| File {
            name: name.clone(),
            bytes: *bytes,
            node: node(10 + n as u64),
            extents: vec![Extent { file_offset: 0, start: at, byte_offset: *byte_offset, bytes: *bytes }],
        });
        let packs = Directory { name: "packs".to_owned(), node: node(2), directories: vec![], files: files.collect() };
        let index = Index {
            creator: "a & b".to_owned(),
            uuid: new_volume().uuid,
            generation,
            update_time: Timestamp::from(time),
            location: at,
            previous: Some(at),
            highest_file_id: 99,
            root: Directory { name: volume_name, node: node(1), directories: vec![packs], files: vec![] },
        };
        let written = index::write(&index, Vec::new()).unwrap();
        prop_assert_eq!(index::parse(&written[..]).unwrap(), index);
    }

    #[test]
    fn a_damaged_index_is_refused_or_read_and_never_worse(at in 0_usize..900, byte in any::<u8>()) {
        let tape = formatted(64 * MIB);
        let Record::Block(block) = &tape.records(Partition::Data)[5] else { panic!() };
        let mut block = block.clone();
        let at = at % block.len();
        block[at] = byte;
        let _parsed = index::parse(&block[..]);
    }
}
