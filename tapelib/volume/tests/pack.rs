//! Packs written and read back by our own reader, in memory.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::io::{Cursor, Read};
use std::sync::LazyLock;

use proptest::prelude::*;
use support::{ODD_KEYS, data, member, pack, pack_id};
use volume::pack::{
    Digest, Error, Extent, ManifestReader, Member, MemberPlace, ObjectRecord, Options, PackReader,
    PackWriter, ReadAt, Scan, Segment, limits,
};

type Contents = Vec<(Member, Vec<u8>)>;

fn open(bytes: &[u8]) -> PackReader<Cursor<&[u8]>> {
    PackReader::open(Cursor::new(bytes), bytes.len() as u64).unwrap()
}

fn extent(place: &MemberPlace) -> Extent {
    Extent { offset: place.offset, length: place.length }
}

/// A source that counts the bytes read from it.
struct Counting {
    inner: Cursor<Vec<u8>>,
    read: u64,
}

impl ReadAt for Counting {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.inner.set_position(offset);
        let read = self.inner.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

/// Every way of reading gives what was written.
fn check_round_trip(contents: &[(Member, Vec<u8>)], workers: usize) {
    let (bytes, summary) = pack(contents, workers);
    assert_eq!(summary.bytes, bytes.len() as u64);
    assert_eq!(summary.digest, Digest::of(&bytes));
    assert_eq!(summary.members.len(), contents.len());
    let mut reader = open(&bytes);
    assert_eq!((reader.id(), reader.member_count()), (pack_id(), contents.len() as u32));
    for (place, (member, data)) in summary.members.iter().zip(contents).rev() {
        let mut read = Vec::new();
        reader.member(extent(place), Some(place.digest)).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == *data, "{:?} by place", member.record.key);
    }
    let inside: Vec<_> = reader.manifest().unwrap().map(Result::unwrap).collect();
    let beside: Vec<_> =
        ManifestReader::compressed(summary.manifest.as_slice()).unwrap().map(Result::unwrap).collect();
    assert_eq!(inside, beside);
    for (entry, (place, (member, _))) in inside.iter().zip(summary.members.iter().zip(contents)) {
        assert_eq!((entry.id, entry.segment, entry.offset), (place.id, place.segment, place.offset));
        assert_eq!((entry.length, entry.digest), (place.length, place.digest));
        assert_eq!(entry.record, member.record);
    }
    // Three walks: all data read without seeking, all data read with seeking, nothing read.
    let (mut sequential, mut seeking) =
        (Scan::sequential(bytes.as_slice()).unwrap(), reader.members().unwrap());
    for (member, data) in contents {
        let met = sequential.next_member().unwrap().unwrap();
        assert_eq!((met.id, met.segment, &met.record), (member.id, member.segment, &member.record));
        assert_eq!(seeking.next_member().unwrap().unwrap(), met);
        let mut read = Vec::new();
        sequential.read_to_end(&mut read).unwrap();
        assert!(read == *data, "{:?} in sequence", member.record.key);
        let mut start = [0; 3];
        let some = seeking.read(&mut start).unwrap();
        assert_eq!(start[..some], data[..some]);
    }
    assert_eq!(sequential.next_member().unwrap(), None);
    assert_eq!(seeking.next_member().unwrap(), None);
    let mut skipping = open(&bytes);
    let mut skipping = skipping.members().unwrap();
    while skipping.next_member().unwrap().is_some() {}
}

#[test]
fn odd_keys_and_sizes_round_trip() {
    let keys = ODD_KEYS.iter().map(ToString::to_string).chain(["k".repeat(1_024), "é/".repeat(341)]);
    let sizes = [0, 1, 511, 512, 513, 70_000];
    let contents: Contents = keys
        .zip(0..)
        .map(|(key, number)| {
            let length = sizes[number % sizes.len()];
            (member(number as u128, &key, length as u64), data(number as u64, length))
        })
        .collect();
    check_round_trip(&contents, 2);
}

#[test]
fn an_empty_pack_round_trips() {
    check_round_trip(&[], 1);
}

#[test]
fn members_around_the_frame_limits_round_trip() {
    let (small, large) = (limits::SMALL_FRAME_BYTES_MAX as usize, limits::LARGE_FRAME_BYTES_MAX as usize);
    let lengths = [small - 4_096, small, 0, large - 100, large * 2 + 7, 10, small + 1];
    let contents: Contents = lengths
        .iter()
        .zip(0..)
        .map(|(length, number)| (member(number, "key", *length as u64), data(number as u64, *length)))
        .collect();
    check_round_trip(&contents, 2);
}

#[test]
fn a_segment_is_told_apart_from_its_object() {
    let mut contents = Contents::new();
    for index in 1..=3 {
        let mut part = member(1, "big", 100);
        part.record.size = 300;
        part.segment = Some(Segment { index, count: 3 });
        contents.push((part, data(u64::from(index), 100)));
    }
    check_round_trip(&contents, 1);
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let contents: Contents =
        (0..40).map(|number| (member(number, "key", 500_000), data(number as u64, 500_000))).collect();
    assert!(pack(&contents, 1).0 == pack(&contents, 3).0);
}

#[test]
fn reading_one_member_touches_only_its_frames() {
    let contents: Contents =
        (0..30).map(|number| (member(number, "key", 700_000), data(1, 700_000))).collect();
    let (bytes, summary) = pack(&contents, 2);
    let length = bytes.len() as u64;
    let mut reader = PackReader::open(Counting { inner: Cursor::new(bytes), read: 0 }, length).unwrap();
    let place = &summary.members[17];
    let needed = reader.pack_range(extent(place)).unwrap();
    assert!(needed.end - needed.start < 1_100_000, "{needed:?}");
    let mut read = Vec::new();
    reader.member(extent(place), Some(place.digest)).unwrap().read_to_end(&mut read).unwrap();
    let tail = u64::from(summary.frames) * 8 + 1_000;
    assert!(reader.into_inner().read <= needed.end - needed.start + tail);
}

#[test]
fn reading_members_in_their_order_reads_every_byte_once() {
    let contents: Contents =
        (0..40).map(|number| (member(number, "key", 300_000), data(1, 300_000))).collect();
    let (bytes, summary) = pack(&contents, 2);
    let length = bytes.len() as u64;
    let source = Counting { inner: Cursor::new(bytes), read: 0 };
    let mut reader = PackReader::open(source, length).unwrap();
    for place in &summary.members {
        let mut member = reader.member(extent(place), Some(place.digest)).unwrap();
        std::io::copy(&mut member, &mut std::io::sink()).unwrap();
    }
    assert!(reader.into_inner().read <= length + 100);
}

#[test]
fn a_member_over_a_gibibyte_has_frames_of_64_mib() {
    let length = limits::HUGE_MEMBER_BYTES + 5;
    let mut writer = PackWriter::new(Vec::new(), pack_id(), &Options::default()).unwrap();
    writer.begin_member(member(1, "huge", length)).unwrap();
    let zeros = vec![0; 8 << 20];
    for _ in 0..128 {
        writer.write(&zeros).unwrap();
    }
    writer.write(b"12345").unwrap();
    let place = writer.end_member().unwrap();
    let (bytes, summary) = writer.finish().unwrap();
    // The global header, seventeen of the member, the manifest.
    assert_eq!(summary.frames, 1 + 17 + 1);
    let mut reader = open(&bytes);
    let mut end = String::new();
    let last = Extent { offset: place.offset + length - 6, length: 6 };
    reader.member(last, None).unwrap().read_to_string(&mut end).unwrap();
    assert_eq!(end, "\x0012345");
}

#[test]
fn a_wrong_length_breaks_the_pack() {
    for given in [9, 11] {
        let mut writer = PackWriter::new(Vec::new(), pack_id(), &Options::default()).unwrap();
        writer.begin_member(member(1, "key", 10)).unwrap();
        let failed = writer.write(&data(1, given)).and_then(|()| writer.end_member().map(drop)).unwrap_err();
        assert!(matches!(failed, Error::MemberLength { announced: 10, .. }), "{failed}");
        assert!(matches!(writer.begin_member(member(2, "key", 0)), Err(Error::OutOfOrder { .. })));
        assert!(matches!(writer.finish(), Err(Error::OutOfOrder { .. })));
    }
}

#[test]
fn a_refused_member_leaves_the_pack_as_it_was() {
    let mut writer = PackWriter::new(Vec::new(), pack_id(), &Options::default()).unwrap();
    let mut wrong = vec![member(1, "", 0), member(1, &"k".repeat(1_025), 0)];
    wrong.push(Member { segment: Some(Segment { index: 2, count: 1 }), ..member(1, "key", 0) });
    wrong.push(Member { length: 3, ..member(1, "key", 4) });
    let mut large = member(1, "key", 0);
    large.record.metadata.push(("x".into(), "y".repeat(limits::RECORD_BYTES_MAX)));
    wrong.push(large);
    let mut slash = member(1, "key", 0);
    slash.record.bucket = "a/b".into();
    wrong.push(slash);
    for member in wrong {
        assert!(matches!(writer.begin_member(member), Err(Error::Refused { .. })));
    }
    writer.begin_member(member(1, "key", 0)).unwrap();
    writer.end_member().unwrap();
    let (bytes, _) = writer.finish().unwrap();
    assert_eq!(open(&bytes).member_count(), 1);
}

#[test]
fn a_sink_that_fails_ends_the_pack() {
    let options = Options { level: 1, workers: 1, ..Options::default() };
    let mut room = [0; 100];
    let mut writer = PackWriter::new(room.as_mut_slice(), pack_id(), &options).unwrap();
    writer.begin_member(member(1, "key", 60 << 20)).unwrap();
    let failed = (0..60).find_map(|_| writer.write(&data(1, 1 << 20)).err()).unwrap();
    assert!(matches!(failed, Error::Write { .. }), "{failed}");
}

#[test]
fn what_is_stored_as_it_is_reads_as_any_pack() {
    let options = Options { level: limits::LEVEL_STORED, workers: 2, ..Options::default() };
    let mut writer = PackWriter::new(Vec::new(), pack_id(), &options).unwrap();
    let lengths = [0, 1, 70_000, 1 << 20, 19 << 20, 5];
    let members: Vec<_> = (1..).zip(lengths).map(|(n, length)| (n, data(2, length))).collect();
    for (number, bytes) in &members {
        writer.begin_member(member(*number, &format!("key-{number}"), bytes.len() as u64)).unwrap();
        writer.write(bytes).unwrap();
        writer.end_member().unwrap();
    }
    let (pack, summary) = writer.finish().unwrap();
    let plain: usize = lengths.iter().sum();
    assert!(pack.len() > plain && pack.len() < plain + (plain >> 8) + 100_000, "{} of {plain}", pack.len());
    assert!(read_all(&pack));
    let mut reader = open(&pack);
    for (place, (_, bytes)) in summary.members.iter().zip(&members) {
        let mut read = Vec::new();
        reader.member(extent(place), Some(place.digest)).unwrap().read_to_end(&mut read).unwrap();
        assert!(read == *bytes);
    }
}

#[test]
fn a_wrong_digest_is_the_answer_at_the_end() {
    let (bytes, summary) = pack(&[(member(1, "key", 9), data(1, 9)), (member(2, "empty", 0), vec![])], 1);
    let mut reader = open(&bytes);
    for place in &summary.members {
        let failed =
            reader.member(extent(place), Some(Digest([0; 32]))).unwrap().read_to_end(&mut Vec::new());
        let failed = failed.unwrap_err().downcast::<Error>().unwrap();
        assert!(matches!(failed, Error::MemberDigest { .. }) && failed.is_damage());
    }
    let outside = Extent { offset: reader.plain_bytes() - 1, length: 2 };
    assert!(matches!(reader.member(outside, None), Err(Error::OutsidePack { .. })));
    let overflow = Extent { offset: u64::MAX, length: 2 };
    assert!(matches!(reader.pack_range(overflow), Err(Error::OutsidePack { .. })));
}

/// Reads whatever can be read, in every way; answers whether all of it was well.
fn read_all(bytes: &[u8]) -> bool {
    let sequential = || -> Result<(), Error> {
        let mut scan = Scan::sequential(bytes)?;
        while scan.next_member()?.is_some() {
            std::io::copy(&mut scan, &mut std::io::sink()).map_err(|_| Error::NotAPack { why: "read" })?;
        }
        Ok(())
    };
    let by_place = || -> Result<(), Error> {
        let mut reader = PackReader::open(Cursor::new(bytes), bytes.len() as u64)?;
        let entries = reader.manifest()?.collect::<Result<Vec<_>, _>>()?;
        for entry in entries {
            let extent = Extent { offset: entry.offset, length: entry.length };
            let mut member = reader.member(extent, Some(entry.digest))?;
            std::io::copy(&mut member, &mut std::io::sink()).map_err(|_| Error::NotAPack { why: "read" })?;
        }
        let mut scan = reader.members()?;
        while scan.next_member()?.is_some() {}
        Ok(())
    };
    let (sequential, by_place) = (sequential(), by_place());
    sequential.is_ok() && by_place.is_ok()
}

/// A small pack of several frames.
static VICTIM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let lengths = [700_000, 10, 0, 700_000, 1_200_000];
    let contents: Contents = lengths
        .iter()
        .zip(0..)
        .map(|(length, number)| (member(number, "key", *length as u64), data(0, *length)))
        .collect();
    pack(&contents, 1).0
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_members_round_trip(
        members in proptest::collection::vec(("\\PC{1,60}|[./%~]{1,9}|[\\x00-\\x7f]{1,20}", 0_usize..100_000), 0..12),
        workers in 1_usize..3,
    ) {
        let contents: Contents = members
            .iter()
            .zip(0..)
            .map(|((key, length), number)| (member(number, key, *length as u64), data(number as u64, *length)))
            .collect();
        check_round_trip(&contents, workers);
    }

    #[test]
    fn a_flipped_bit_is_seen(place in any::<proptest::sample::Index>(), bit in 0..8) {
        let mut bytes = VICTIM.clone();
        let at = place.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(!read_all(&bytes), "byte {at}");
    }

    #[test]
    fn a_truncated_pack_is_seen(place in any::<proptest::sample::Index>()) {
        let mut bytes = VICTIM.clone();
        bytes.truncate(place.index(bytes.len()));
        prop_assert!(!read_all(&bytes));
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(!read_all(&bytes));
    }
}

#[test]
fn a_record_from_a_later_writer_is_read() {
    let json =
        r#"{"bucket":"b","key":"k","etag":"e","last_modified_ms":1,"size":2,"class":"GLACIER","later":[1]}"#;
    let record: ObjectRecord = serde_json::from_str(json).unwrap();
    assert_eq!((record.key.as_str(), record.size), ("k", 2));
}
