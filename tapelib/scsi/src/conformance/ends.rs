//! The end of the tape.

use super::{Difference, Stage, payload};
use crate::{Condition, ReadOutcome, WriteOutcome};

/// Blocks that a cartridge is filled with, in bytes.
const BLOCK: usize = 256 << 10;

pub(super) fn the_end_is_told_before_it_comes(stage: &mut Stage<'_>) {
    let fit = stage.setup.cartridge_bytes / u64::try_from(BLOCK).unwrap();
    stage.loaded(|stage, drive| {
        let mut blocks = 0;
        while drive.write_block(&payload(blocks, BLOCK)).unwrap() == WriteOutcome::Written {
            blocks += 1;
            assert!(blocks <= fit, "no warning within {fit} blocks");
        }
        // What came with the warning is on tape, and there is room for what closes a volume.
        drive.write_filemarks(1, false).unwrap();
        drive.write_block(&payload(7, 4096)).unwrap();
        drive.write_filemarks(1, false).unwrap();
        let mut more = 0;
        let end = loop {
            match drive.write_block(&payload(more, BLOCK)) {
                Ok(_) if more > fit => break None,
                Ok(_) => more += 1,
                Err(error) => break Some(error),
            }
        };
        match stage.has(Difference::NoHardEnd) {
            true => assert!(end.is_none(), "the tape ends now: take the difference off the list"),
            false => {
                let end = end.expect("an end of the tape");
                let said = end.sense().unwrap().condition();
                assert_eq!(said, Condition::VolumeOverflow);
            }
        }
        drive.rewind().unwrap();
        let mut buffer = vec![0; BLOCK];
        for block in 0..=blocks {
            assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::Block(BLOCK));
            assert!(buffer == payload(block, BLOCK), "block {block}");
        }
        assert_eq!(drive.read_block(&mut buffer).unwrap(), ReadOutcome::Filemark);
        assert_eq!(drive.read_block(&mut buffer[..4096]).unwrap(), ReadOutcome::Block(4096));
    });
}
