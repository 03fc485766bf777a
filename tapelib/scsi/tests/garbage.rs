//! A device that answers nonsense: the drivers end with an outcome or an error, and never panic.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::time::Duration;

use crc_fast as _;
use proptest::collection::vec;
use proptest::prelude::*;
use scsi::{
    Cdb, Changer, Completion, Data, Drive, ElementAddress, Sense, SenseKey, SpaceOver, Status, Transport,
    TransportError, mam,
};
use thiserror as _;

/// Answers in turn from a list, for ever.
struct Garbage {
    answers: Vec<(u8, [u8; 3], Vec<u8>, usize)>,
    next: usize,
}

impl Transport for Garbage {
    fn execute(&mut self, cdb: &Cdb, data: Data<'_>, _: Duration) -> Result<Completion, TransportError> {
        let (kind, [key, asc, ascq], bytes, transferred) = &self.answers[self.next % self.answers.len()];
        self.next += 1;
        if let Data::In(buffer) = data {
            buffer.iter_mut().zip(bytes.iter().cycle()).for_each(|(to, from)| *to = *from);
        }
        let sense = Sense {
            filemark: transferred % 3 == 1,
            incorrect_length: transferred % 5 == 1,
            information: (transferred % 2 == 1).then_some(transferred.cast_signed() as i64 - 50),
            ..Sense::of(SenseKey::from_byte(*key), *asc, *ascq)
        };
        let status = match kind % 8 {
            0 => Status::Busy,
            1 | 2 => Status::CheckCondition,
            3 => {
                return Err(TransportError::Timeout { opcode: cdb.opcode(), seconds: 1 });
            }
            4 => Status::Other(*kind),
            _ => Status::Good,
        };
        let sense = if kind % 8 == 1 { bytes.clone() } else { sense.encode_descriptor() };
        Ok(Completion { status, sense, transferred: *transferred })
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_makes_a_driver_panic(
        answers in vec((any::<u8>(), any::<[u8; 3]>(), vec(any::<u8>(), 1..80), 0..200_usize), 1..8),
    ) {
        let device = || Box::new(Garbage { answers: answers.clone(), next: 0 });
        let limit = Duration::from_secs(20);
        let mut changer = Changer::new(device());
        drop(changer.identify());
        drop(changer.wait_ready(limit, &|_| {}));
        drop(changer.inventory());
        drop(changer.move_medium(ElementAddress(1), ElementAddress(2)));
        let mut drive = Drive::new(device());
        let mut buffer = [0; 100];
        drop(drive.identify());
        drop(drive.load(limit, &|_| {}));
        drop(drive.set_variable_blocks());
        drop(drive.set_compression(false));
        drop(drive.block_limits());
        drop(drive.write_protected());
        drop(drive.partition(9, &[1, 2]));
        drop(drive.write_block(&buffer));
        drop(drive.position());
        drop(drive.sync());
        drop(drive.space(SpaceOver::Filemarks, -1));
        drop(drive.locate(0, 5));
        if let Ok(scsi::ReadOutcome::Block(length)) = drive.read_block(&mut buffer) {
            prop_assert!((1..=100).contains(&length));
        }
        drop(drive.attributes(0));
        drop(drive.write_attributes(0, &[mam::Attribute::binary(0x0800, &[])]));
        drop(drive.capacities());
        drop(drive.unload());
    }
}
