//! A drive against a list: whatever a host does, position, sense and bytes are those of a tape that is a plain list
//! of records walked one by one.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use host::{Host, MIB, geometry, loaded};
use proptest::prelude::*;
use virtual_library::VirtualLibrary;

const FILEMARK: (u8, u8, u8) = (0, 0, 1);
const BEGINNING: (u8, u8, u8) = (0, 0, 4);
const END: (u8, u8, u8) = (8, 0, 5);

#[derive(Clone, Debug)]
enum Step {
    Write(usize),
    Filemarks {
        count: u8,
        immediate: bool,
    },
    Locate {
        partition: usize,
        record: u64,
    },
    SpaceBlocks(i64),
    SpaceFilemarks(i64),
    SpaceEnd,
    Read,
    Rewind,
    /// Unload and load, or end the process and start it again.
    Reload,
    Reopen,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..2000).prop_map(Step::Write),
        3 => (0u8..3, any::<bool>()).prop_map(|(count, immediate)| Step::Filemarks { count, immediate }),
        3 => (0usize..2, 0u64..40).prop_map(|(partition, record)| Step::Locate { partition, record }),
        2 => (-8i64..8).prop_map(Step::SpaceBlocks),
        2 => (-4i64..4).prop_map(Step::SpaceFilemarks),
        2 => Just(Step::SpaceEnd),
        4 => Just(Step::Read),
        1 => Just(Step::Rewind),
        1 => Just(Step::Reload),
        1 => Just(Step::Reopen),
        1 => Just(Step::PowerCut),
    ]
}

/// Two lists of records, `None` being a filemark, and how much of each is on stable storage.
#[derive(Default)]
struct Tape {
    records: [Vec<Option<Vec<u8>>>; 2],
    synced: [usize; 2],
    partition: usize,
    at: usize,
}

impl Tape {
    fn here(&self) -> Option<&Option<Vec<u8>>> {
        self.records[self.partition].get(self.at)
    }

    fn put(&mut self, record: Option<Vec<u8>>) {
        self.records[self.partition].truncate(self.at);
        self.synced[self.partition] = self.synced[self.partition].min(self.at);
        self.records[self.partition].push(record);
        self.at += 1;
    }

    fn sync(&mut self) {
        self.synced = [self.records[0].len(), self.records[1].len()];
    }

    /// Walks until `count` records of the kind wanted are passed; the sense, and how many are left.
    fn space(&mut self, count: i64, filemarks: bool) -> Option<((u8, u8, u8), i32)> {
        self.sync();
        let mut left = count.abs() as i32;
        while left > 0 {
            if count > 0 {
                let Some(record) = self.here().cloned() else {
                    return Some((END, left));
                };
                self.at += 1;
                match (record.is_none(), filemarks) {
                    (true, false) => return Some((FILEMARK, left)),
                    (is_filemark, wanted) => left -= i32::from(is_filemark == wanted),
                }
            } else {
                if self.at == 0 {
                    return Some((BEGINNING, left));
                }
                self.at -= 1;
                match (self.here().unwrap().is_none(), filemarks) {
                    (true, false) => return Some((FILEMARK, left)),
                    (is_filemark, wanted) => left -= i32::from(is_filemark == wanted),
                }
            }
        }
        None
    }
}

fn told(answer: host::Answer<usize>) -> Option<((u8, u8, u8), i32)> {
    answer.err().map(|sense| (sense.codes, sense.information.unwrap_or(0)))
}

fn apply(step: Step, number: u8, tape: &mut Tape, drive: &mut Host) {
    match step {
        Step::Write(length) => {
            let payload = vec![number; length];
            drive.write(&payload).unwrap();
            tape.put(Some(payload));
        }
        Step::Filemarks { count: 0, immediate: true } => {}
        Step::Filemarks { count, immediate } => {
            drive.filemarks(count, immediate).unwrap();
            (0..count).for_each(|_| tape.put(None));
            if !immediate {
                tape.sync();
            }
        }
        Step::Locate { partition, record } => {
            tape.sync();
            tape.partition = partition;
            let end = tape.records[partition].len();
            tape.at = end.min(record as usize);
            let expected = (record as usize > end).then_some((END, 0));
            assert_eq!(told(drive.locate(partition as u8, record)), expected);
        }
        Step::SpaceBlocks(count) => assert_eq!(told(drive.space(0, count)), tape.space(count, false)),
        Step::SpaceFilemarks(count) => assert_eq!(told(drive.space(1, count)), tape.space(count, true)),
        Step::SpaceEnd => {
            drive.space(3, 0).unwrap();
            tape.sync();
            tape.at = tape.records[tape.partition].len();
        }
        Step::Read => {
            let expected = match tape.here() {
                None => Err(END),
                Some(None) => Err(FILEMARK),
                Some(Some(payload)) => Ok(payload.clone()),
            };
            tape.at += usize::from(tape.here().is_some());
            assert_eq!(drive.block().map_err(|sense| sense.codes), expected);
        }
        Step::Rewind => {
            drive.rewind().unwrap();
            tape.sync();
            tape.at = 0;
        }
        Step::Reload => {
            drive.load(false).unwrap();
            drive.load(true).unwrap();
            drive.settle().1.unwrap();
            tape.sync();
            (tape.partition, tape.at) = (0, 0);
        }
        Step::Reopen | Step::PowerCut => unreachable!("done by the caller"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_drive_behaves_like_a_list(steps in prop::collection::vec(step(), 1..80)) {
        let dir = host::folder_in_memory();
        let mut library = VirtualLibrary::open(dir.path(), geometry(16 * MIB)).unwrap();
        let (mut robot, mut drive) = loaded(&library);
        drive.format_two([4, 0xFFFF]).unwrap();
        let mut tape = Tape::default();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Reopen => {
                    drop((robot, drive, library));
                    library = VirtualLibrary::open(dir.path(), geometry(16 * MIB)).unwrap();
                    (robot, drive) = (Host(library.changer_transport()), Host(library.drive_transport(0)));
                    drive.settle().1.unwrap();
                    tape.sync();
                    (tape.partition, tape.at) = (0, 0);
                }
                Step::PowerCut => {
                    library.cut_power().unwrap();
                    drive.settle().1.unwrap();
                    for (records, synced) in tape.records.iter_mut().zip(tape.synced) {
                        records.truncate(synced);
                    }
                    (tape.partition, tape.at) = (0, 0);
                }
                step => apply(step, number as u8, &mut tape, &mut drive),
            }
            let filemarks = tape.records[tape.partition][..tape.at].iter().filter(|record| record.is_none()).count();
            let (_, partition, record, file) = drive.position().unwrap();
            prop_assert_eq!(
                (partition as usize, record as usize, file as usize),
                (tape.partition, tape.at, filemarks)
            );
        }
    }
}
