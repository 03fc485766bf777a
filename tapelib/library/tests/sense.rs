//! Every kind of thing a drive can say in the middle of a pack: what is lost (nothing committed), who is blamed, and
//! whether the drive is used again.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use std::time::Duration;

use host::Host;
use library::{Blame, DriveState, End, WorkEnd};
use virtual_library::{Effect, Fault, Sense, Unit};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    /// The pack is written as if nothing had happened.
    GoesOn,
    /// The job fails, charged to this; the drive is used again.
    Fails(Blame),
    /// The job fails, and the drive is set down.
    SetsDown(Blame),
}

use Outcome::{Fails, GoesOn, SetsDown};

/// Told instead of writing a block.
#[rustfmt::skip] // read by columns
const REFUSED: &[((u8, u8, u8), Outcome)] = &[
    ((0x2, 0x04, 0x01), GoesOn), // asked again until it is ready
    ((0x2, 0x04, 0x12), Fails(Blame::Operator)),
    ((0x2, 0x3A, 0x00), Fails(Blame::Host)),
    ((0x3, 0x0C, 0x00), Fails(Blame::Medium)),
    ((0x3, 0x11, 0x00), Fails(Blame::Medium)),
    ((0x3, 0x14, 0x03), Fails(Blame::Medium)),
    ((0x3, 0x30, 0x00), Fails(Blame::Medium)),
    ((0x3, 0x31, 0x00), Fails(Blame::Medium)),
    ((0x3, 0x3B, 0x00), Fails(Blame::Medium)),
    ((0x3, 0x50, 0x00), Fails(Blame::Medium)),
    ((0x3, 0x52, 0x00), Fails(Blame::Medium)),
    ((0x4, 0x10, 0x01), SetsDown(Blame::Drive)),
    ((0x4, 0x44, 0x00), SetsDown(Blame::Drive)),
    ((0x4, 0x53, 0x01), SetsDown(Blame::Drive)),
    ((0x5, 0x20, 0x00), Fails(Blame::Host)),
    ((0x5, 0x24, 0x00), Fails(Blame::Host)),
    ((0x5, 0x26, 0x00), Fails(Blame::Host)),
    ((0x5, 0x30, 0x05), Fails(Blame::Medium)),
    ((0x6, 0x28, 0x00), Fails(Blame::Host)),
    ((0x6, 0x29, 0x00), Fails(Blame::Host)),
    ((0x6, 0x2A, 0x01), Fails(Blame::Host)),
    ((0x6, 0x2A, 0x03), Fails(Blame::Operator)),
    ((0x6, 0x2A, 0x10), Fails(Blame::Host)),
    ((0x6, 0x2A, 0x11), Fails(Blame::Host)),
    ((0x6, 0x2F, 0x00), Fails(Blame::Host)),
    ((0x6, 0x3F, 0x0E), Fails(Blame::Host)),
    ((0x7, 0x27, 0x00), Fails(Blame::Operator)),
    ((0x7, 0x30, 0x0C), Fails(Blame::Host)),
    ((0x7, 0x30, 0x0D), Fails(Blame::Medium)),
    ((0x7, 0x5A, 0x02), Fails(Blame::Operator)),
    ((0x7, 0x74, 0x01), Fails(Blame::Operator)),
    ((0x9, 0x80, 0x00), Fails(Blame::Drive)),
    ((0xB, 0x4B, 0x00), Fails(Blame::Drive)),
];

/// Told after a block was taken.
const TAKEN: &[((u8, u8, u8), Outcome)] =
    &[((0x0, 0x00, 0x17), GoesOn), ((0x1, 0x00, 0x17), GoesOn), ((0x1, 0x5D, 0x00), GoesOn)];

/// Of a block taken earlier, told by the next command.
const DEFERRED: &[((u8, u8, u8), Outcome)] =
    &[((0x3, 0x0C, 0x00), Fails(Blame::Medium)), ((0x4, 0x44, 0x00), SetsDown(Blame::Drive))];

#[test]
fn what_a_drive_says_in_the_middle_of_a_pack() {
    let host = Host::new(1);
    let barcode = host.barcode(0);
    let mut row = host.label(&barcode, 1);
    // Packs 0, 4, 8, ... are short.
    host.append(&barcode, &mut row, &[0]).unwrap();
    let mut committed = vec![0];
    let refused = REFUSED.iter().map(|(code, outcome)| (Effect::Fail(sense(*code)), *outcome));
    let taken = TAKEN.iter().map(|(code, outcome)| (Effect::FailAfter(sense(*code)), *outcome));
    let late = DEFERRED.iter().map(|(code, outcome)| (Effect::FailAfter(sense(*code).deferred()), *outcome));
    for (number, (effect, outcome)) in refused.chain(taken).chain(late).enumerate() {
        let pack = host.spool(4 * (number + 1));
        let opcode = Some(scsi::opcode::WRITE_6);
        host.machine.faults().inject(Fault { unit: Unit::Drive(0), opcode, skip: 0, times: 1, effect });
        let n = pack.n;
        let result = host.append_with(&barcode, &row, move |mounted| {
            if pack.append(mounted).is_ok() {
                mounted.commit().unwrap();
            }
            WorkEnd::Keep
        });
        assert_eq!(host.machine.faults().pending(), 0, "{effect:?}");
        host.library.quiesce(Duration::from_secs(30)).unwrap();
        let down = matches!(host.library.drives()[0].state, DriveState::Down { .. });
        let found = match &result {
            Ok(_) => GoesOn,
            Err(error) if down => SetsDown(error.blame()),
            Err(error) => Fails(error.blame()),
        };
        assert_eq!(found, outcome, "{effect:?}: {result:?}");
        match result {
            Ok(report) => {
                host::remember(&mut row, &report);
                committed.push(n);
            }
            Err(_) => row.end = End::Unclean,
        }
        if down {
            host.library.drive_up(&host.library.drives()[0].serial).unwrap();
        }
    }
    // Every pack that was committed reads back, and no other.
    assert_eq!(host.packs(&barcode, &row).unwrap(), committed);
    row.end = End::Unclean;
    host.append(&barcode, &mut row, &[400]).unwrap();
    committed.push(400);
    assert_eq!(host.packs(&barcode, &row).unwrap(), committed);
}

/// Told by the changer when a cartridge shall be moved into the drive, before and after it was.
#[rustfmt::skip] // read by columns
const MOVES: &[((u8, u8, u8), Outcome, Outcome)] = &[
    ((0x2, 0x04, 0x01), GoesOn, GoesOn), // the door was open: asked again
    ((0x2, 0x04, 0x12), Fails(Blame::Changer), GoesOn),
    ((0x4, 0x15, 0x01), Fails(Blame::Changer), GoesOn),
    ((0x4, 0x44, 0x00), Fails(Blame::Changer), GoesOn),
    ((0x5, 0x21, 0x01), Fails(Blame::Changer), GoesOn),
    ((0x5, 0x3B, 0x0D), Fails(Blame::Changer), GoesOn),
    ((0x5, 0x3B, 0x0E), Fails(Blame::Changer), GoesOn),
    ((0x5, 0x3B, 0x11), Fails(Blame::Changer), GoesOn),
    ((0x5, 0x53, 0x02), Fails(Blame::Changer), GoesOn),
    ((0x6, 0x28, 0x00), GoesOn, GoesOn),
    ((0x6, 0x28, 0x01), GoesOn, GoesOn),
    ((0x6, 0x29, 0x00), GoesOn, GoesOn),
    ((0xB, 0x4B, 0x00), Fails(Blame::Changer), GoesOn),
];

#[test]
fn what_a_changer_says_in_the_middle_of_a_mount() {
    let host = Host::new(1);
    let cartridges: Vec<_> = (0..2).map(|n| host.barcode(n)).collect();
    let rows: Vec<_> = (0..2).map(|n| host.label(&cartridges[n], n as u128 + 1)).collect();
    // The second one is in the drive; the first is asked for, then the second, and so on.
    let mut next = 0;
    for &(code, before, after) in MOVES {
        for (effect, outcome) in
            [(Effect::Fail(sense(code)), before), (Effect::FailAfter(sense(code)), after)]
        {
            let opcode = Some(scsi::opcode::MOVE_MEDIUM);
            host.machine.faults().inject(Fault { unit: Unit::Changer, opcode, skip: 1, times: 1, effect });
            let result = host.packs(&cartridges[next], &rows[next]);
            let found = match &result {
                Ok(_) => GoesOn,
                Err(error) => Fails(error.blame()),
            };
            assert_eq!(found, outcome, "{effect:?}: {result:?}");
            host.library.quiesce(Duration::from_secs(30)).unwrap();
            assert_eq!(host.library.drives()[0].state, DriveState::Idle, "{effect:?}");
            host.machine.faults().clear();
            // Whatever was said: the next attempt finds everything where it is.
            assert_eq!(host.packs(&cartridges[next], &rows[next]).unwrap(), [0; 0]);
            next = 1 - next;
        }
    }
}

fn sense((key, asc, ascq): (u8, u8, u8)) -> Sense {
    Sense::new(key, asc, ascq)
}
