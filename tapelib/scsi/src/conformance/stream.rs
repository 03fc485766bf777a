//! Blocks, filemarks and moving between them.

use super::{Difference, Stage, payload, refusal};
use crate::limits::TRANSFER_MAX;
use crate::{Condition, Drive, Error, ReadOutcome, SpaceOutcome, SpaceOver, WriteOutcome};

/// Lengths of blocks, small and odd and as they are used.
const LENGTHS: [usize; 6] = [1, 511, 4096, 65_536, 100_000, 262_144];

fn write(drive: &mut Drive, seed: u64, length: usize) {
    assert_eq!(drive.write_block(&payload(seed, length)).unwrap(), WriteOutcome::Written);
}

#[track_caller]
fn read(drive: &mut Drive, seed: u64, length: usize) {
    let mut buffer = vec![0; length];
    assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::Block(length));
    assert!(buffer == payload(seed, length), "block {seed} came back otherwise");
}

#[track_caller]
fn meets(drive: &mut Drive, expected: ReadOutcome) {
    assert_eq!(drive.read_block(&mut [0; 4096]).unwrap(), expected);
}

pub(super) fn blocks_come_back(stage: &mut Stage<'_>) {
    stage.loaded(|_, drive| {
        let longest = usize::try_from(drive.block_bytes_max().unwrap().min(1 << 20)).unwrap();
        let lengths: Vec<usize> = LENGTHS.into_iter().chain([longest]).collect();
        for (seed, &length) in (1..).zip(&lengths) {
            write(drive, seed, length);
        }
        assert_eq!(drive.write_filemarks(1, false).unwrap(), WriteOutcome::Written);
        write(drive, 99, 4096);
        assert_eq!(drive.write_filemarks(2, false).unwrap(), WriteOutcome::Written);
        assert_eq!(drive.sync().unwrap(), WriteOutcome::Written);
        drive.rewind().unwrap();
        for (seed, &length) in (1..).zip(&lengths) {
            read(drive, seed, length);
        }
        meets(drive, ReadOutcome::Filemark);
        read(drive, 99, 4096);
        for expected in [ReadOutcome::Filemark, ReadOutcome::Filemark, ReadOutcome::EndOfData] {
            meets(drive, expected);
        }
        meets(drive, ReadOutcome::EndOfData);
    });
}

pub(super) fn blocks_of_other_lengths_are_told(stage: &mut Stage<'_>) {
    stage.loaded(|stage, drive| {
        for length in LENGTHS {
            for room in stage.rooms(length) {
                drive.rewind().unwrap();
                write(drive, 5, length);
                drive.rewind().unwrap();
                let mut buffer = vec![0; room];
                let found = drive.read_block(&mut buffer);
                if stage.has(Difference::NoResidual) {
                    assert!(matches!(found, Err(Error::Length { .. })), "{found:?}");
                    continue;
                }
                assert_eq!(found.unwrap(), ReadOutcome::Block(length), "{room}");
                assert!(buffer[..length] == payload(5, length), "{length} bytes, read with room for {room}");
            }
        }
        drive.rewind().unwrap();
        write(drive, 6, 262_144);
        write(drive, 7, 512);
        drive.rewind().unwrap();
        assert_eq!(drive.read_block(&mut [0; 4096]).unwrap(), ReadOutcome::TooLarge { actual: 262_144 });
        read(drive, 7, 512);
        // The way back to a block that was too large.
        assert_eq!(drive.space(SpaceOver::Blocks, -2).unwrap(), SpaceOutcome::Done);
        read(drive, 6, 262_144);
    });
}

pub(super) fn spacing_ends_where_it_should(stage: &mut Stage<'_>) {
    stage.loaded(|stage, drive| {
        // Files of 3, 2 and 1 blocks, each with its filemark.
        for (file, blocks) in [(1, 3), (2, 2), (3, 1)] {
            for block in 0..blocks {
                write(drive, file * 10 + block, 4096);
            }
            drive.write_filemarks(1, false).unwrap();
        }
        drive.rewind().unwrap();
        assert_eq!(drive.space(SpaceOver::Filemarks, 1).unwrap(), SpaceOutcome::Done);
        read(drive, 20, 4096);
        assert_eq!(drive.space(SpaceOver::Filemarks, 1).unwrap(), SpaceOutcome::Done);
        read(drive, 30, 4096);
        assert_eq!(drive.space(SpaceOver::Blocks, -1).unwrap(), SpaceOutcome::Done);
        read(drive, 30, 4096);
        assert_eq!(drive.space(SpaceOver::Filemarks, -1).unwrap(), SpaceOutcome::Done);
        if !stage.has(Difference::StopsBehindMarks) {
            meets(drive, ReadOutcome::Filemark);
        }
        read(drive, 30, 4096);
        drive.rewind().unwrap();
        assert_eq!(drive.space(SpaceOver::Blocks, 2).unwrap(), SpaceOutcome::Done);
        read(drive, 12, 4096);
        drive.rewind().unwrap();
        let over_marks = drive.space(SpaceOver::Blocks, 5).unwrap();
        match stage.has(Difference::SpacesOverMarks) {
            false => {
                assert_eq!(over_marks, SpaceOutcome::Filemark(Some(2)));
                read(drive, 20, 4096);
            }
            true => assert_eq!(over_marks, SpaceOutcome::Done),
        }
        assert_eq!(drive.space(SpaceOver::EndOfData, 0).unwrap(), SpaceOutcome::Done);
        meets(drive, ReadOutcome::EndOfData);
        drive.rewind().unwrap();
        let beyond = drive.space(SpaceOver::Filemarks, 9).unwrap();
        assert!(matches!(beyond, SpaceOutcome::EndOfData(_)), "{beyond:?}");
        let before = drive.space(SpaceOver::Filemarks, -9).unwrap();
        assert!(matches!(before, SpaceOutcome::Beginning(_)), "{before:?}");
        read(drive, 10, 4096);
    });
}

pub(super) fn writing_cuts_the_tape(stage: &mut Stage<'_>) {
    stage.loaded(|_, drive| {
        for seed in 1..=5 {
            write(drive, seed, 4096);
        }
        drive.write_filemarks(1, false).unwrap();
        drive.rewind().unwrap();
        read(drive, 1, 4096);
        write(drive, 8, 1024);
        drive.write_filemarks(1, false).unwrap();
        meets(drive, ReadOutcome::EndOfData);
        drive.rewind().unwrap();
        read(drive, 1, 4096);
        read(drive, 8, 1024);
        meets(drive, ReadOutcome::Filemark);
        meets(drive, ReadOutcome::EndOfData);
    });
}

pub(super) fn positions_are_told(stage: &mut Stage<'_>) {
    stage.loaded(|stage, drive| {
        assert!(drive.locate(0, 0).unwrap().block == 0);
        for seed in 0..4 {
            write(drive, seed, 512);
        }
        drive.write_filemarks(1, false).unwrap();
        write(drive, 4, 512);
        drive.sync().unwrap();
        let here = drive.position().unwrap();
        if stage.has(Difference::NoPosition) {
            assert_eq!(here.block, 0, "positions are told now: take the difference off the list");
            // The driver looks where it arrived, and believes no other place.
            assert!(matches!(drive.locate(0, 2), Err(Error::Misplaced { .. })));
            return;
        }
        assert_eq!((here.partition, here.block), (0, 6));
        for (block, seed) in [(2, 2), (5, 4), (0, 0)] {
            assert_eq!(drive.locate(0, block).unwrap().block, block);
            read(drive, seed, 512);
            assert_eq!(drive.position().unwrap().block, block + 1);
        }
        assert_eq!(refusal(drive.locate(0, 99)), Condition::EndOfData);
    });
}

pub(super) fn what_the_path_does_not_carry_is_refused(stage: &mut Stage<'_>) {
    let path = stage.bench.drive(&stage.setup.drives[0]).transfer_max();
    stage.loaded(|_, drive| {
        let too_long = usize::try_from(path.unwrap_or(TRANSFER_MAX)).unwrap() + 1;
        let refused = drive.write_block(&vec![0; too_long]);
        let told = matches!(refused, Err(Error::PathTooNarrow { .. } | Error::BlockLength { .. }));
        assert!(told, "{refused:?}");
        drive.rewind().unwrap();
        write(drive, 1, 4096);
    });
}
