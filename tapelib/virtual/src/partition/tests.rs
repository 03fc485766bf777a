#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::*;
use proptest::prelude::*;
use std::fs::OpenOptions;

const CAPACITY: u64 = 1 << 20;

fn open(dir: &tempfile::TempDir) -> Partition {
    let path = dir.path().join("partition");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
    Partition::open(file).unwrap()
}

fn contents(partition: &mut Partition) -> Vec<Option<Vec<u8>>> {
    let mut contents = Vec::new();
    for record in 0..partition.records() {
        contents.push(match partition.record(record).unwrap() {
            Record::Filemark => None,
            Record::Block(block) => {
                let mut bytes = vec![0; block.length as usize];
                partition.read(&block, &mut bytes).unwrap();
                Some(bytes)
            }
        });
    }
    contents
}

#[derive(Clone, Debug)]
enum Step {
    /// Block of this length at this part of the records there are (of 16; 16 appends), or a filemark.
    Write {
        at: u64,
        length: Option<usize>,
    },
    Sync,
    /// The process ends and the file is opened again; of what was never synced, this many last bytes are missing.
    Reopen {
        torn: u64,
    },
    /// The power fails.
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let at = prop_oneof![4 => Just(16u64), 1 => 0u64..16];
    let length = prop_oneof![3 => (1usize..900).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        12 => (at, length).prop_map(|(at, length)| Step::Write { at, length }),
        2 => Just(Step::Sync),
        2 => (0u64..80).prop_map(|torn| Step::Reopen { torn }),
        1 => Just(Step::PowerCut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever is written, cut, torn and lost, the records are those of a simple list.
    #[test]
    fn behaves_like_a_list(steps in prop::collection::vec(step(), 1..160)) {
        // Syncing costs nothing there.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut partition = open(&dir);
        let mut model: Vec<Option<Vec<u8>>> = Vec::new();
        let mut synced = 0;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Write { at, length } => {
                    let record = model.len() as u64 * at / 16;
                    model.truncate(record as usize);
                    synced = synced.min(model.len());
                    let payload = length.map(|length| vec![number as u8; length]);
                    match &payload {
                        Some(payload) => partition.write_block(record, payload, CAPACITY).unwrap(),
                        None => partition.write_filemark(record, CAPACITY).unwrap(),
                    }
                    model.push(payload);
                }
                Step::Sync => {
                    partition.sync().unwrap();
                    synced = model.len();
                }
                Step::Reopen { torn } => {
                    let torn = torn.min(partition.end - partition.synced);
                    if torn > 0 {
                        partition.file.set_len(partition.end - torn).unwrap();
                        let mut lost = 0;
                        while lost < torn {
                            lost += 24 + model.pop().unwrap().map_or(0, |block| block.len() as u64);
                        }
                    }
                    partition = open(&dir);
                }
                Step::PowerCut => {
                    partition.cut_power().unwrap();
                    partition = open(&dir);
                    model.truncate(synced);
                }
            }
            prop_assert_eq!(partition.records(), model.len() as u64);
        }
        prop_assert_eq!(contents(&mut partition), model.clone());
        let filemarks: Vec<u64> =
            (0u64..).zip(&model).filter(|(_, record)| record.is_none()).map(|(number, _)| number).collect();
        prop_assert_eq!(partition.filemarks(), filemarks);
        partition = open(&dir);
        prop_assert_eq!(contents(&mut partition), model);
    }
}

#[test]
fn a_flipped_bit_is_never_returned_as_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut partition = open(&dir);
    for byte in 0..3 {
        partition.write_block(u64::from(byte), &[byte; 100], CAPACITY).unwrap();
    }
    partition.sync().unwrap();
    let second_payload = FILE_HEADER_BYTES + 100 + 2 * RECORD_HEADER_BYTES;
    partition.file.write_all_at(&[9], second_payload).unwrap();
    let mut partition = open(&dir);
    assert_eq!((partition.records(), partition.end_of_data()), (3, END_OF_DATA));
    let Record::Block(block) = partition.record(1).unwrap() else { panic!() };
    assert_eq!(partition.read(&block, &mut [0; 100]), Err(UNRECOVERED_READ_ERROR));
}

#[test]
fn a_lost_header_below_the_synced_length_is_damage_and_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut partition = open(&dir);
    for record in 0..3 {
        partition.write_block(record, &[1; 100], CAPACITY).unwrap();
    }
    partition.sync().unwrap();
    partition.file.write_all_at(&[0], FILE_HEADER_BYTES + RECORD_HEADER_BYTES + 100).unwrap();
    let mut partition = open(&dir);
    assert_eq!((partition.records(), partition.end_of_data()), (1, END_OF_DATA_NOT_FOUND));
    assert_eq!(partition.write_block(1, &[1], CAPACITY), Err(WRITE_APPEND_ERROR));
    // Written over from a record that is there, the tape is whole again.
    partition.write_block(0, &[2; 10], CAPACITY).unwrap();
    assert_eq!((contents(&mut partition), partition.end_of_data()), (vec![Some(vec![2; 10])], END_OF_DATA));
}

#[test]
fn payload_above_the_synced_length_is_checked_at_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut partition = open(&dir);
    partition.write_block(0, &[1; 100], CAPACITY).unwrap();
    partition.sync().unwrap();
    partition.write_block(1, &[2; 100], CAPACITY).unwrap();
    partition.write_block(2, &[3; 100], CAPACITY).unwrap();
    // The file grew but a block of it never reached the disk.
    partition.file.write_all_at(&[0; 100], FILE_HEADER_BYTES + 100 + 2 * RECORD_HEADER_BYTES).unwrap();
    let mut partition = open(&dir);
    assert_eq!(contents(&mut partition), [Some(vec![1; 100])]);
}

#[test]
fn a_refused_write_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut partition = open(&dir);
    partition.write_block(0, &[1; 100], 200).unwrap();
    assert_eq!(partition.write_block(1, &[1; 100], 200), Err(VOLUME_OVERFLOW));
    partition.write_block(1, &[2; 50], 200).unwrap();
    assert_eq!(contents(&mut open(&dir)), [Some(vec![1; 100]), Some(vec![2; 50])]);
}
