//! What happens in a case: drawn from a seed, played on a world.

use scsi::{Sense, opcode};
use virtual_library::{Effect, Fault, Unit};

use crate::random::Random;

/// One step.
#[derive(Clone, Debug)]
pub enum Step {
    /// One mount for writing: groups of packs, each committed, the last one perhaps not.
    Append { volume: usize, groups: Vec<Vec<u64>>, end: End, unload: bool },
    /// The same with something going wrong at a random command.
    Failing { volume: usize, groups: Vec<Vec<u64>>, fault: Trouble, skip: u32 },
    /// Everything is read back.
    Read { volume: usize },
    /// A process dies while it has nothing to do, or ends in order, and another one starts.
    Restart { orderly: bool },
    /// The power fails while nothing happens.
    PowerCut,
    /// Two labels are changed against each other, work is asked for, and they are changed back.
    Swap,
    /// Another program appends to a cartridge.
    Foreign { volume: usize },
}

/// How the work of a mount ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is committed.
    Committed,
    /// The last group is not.
    Uncommitted,
    /// The process dies before the last commit.
    Death,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// At which commands; any when none is named.
    pub opcode: Option<u8>,
    pub effect: Effect,
}

impl Trouble {
    /// Planned for both drives: one of them will meet it.
    pub fn faults(self, skip: u32) -> [Fault; 2] {
        let Self { opcode, effect } = self;
        [0, 1].map(|drive| Fault { unit: Unit::Drive(drive), opcode, skip, times: 1, effect })
    }
}

/// A case's steps.
pub fn script(random: &mut Random, volumes: usize) -> Vec<Step> {
    let steps = 4 + random.below(6);
    (0..steps).map(|_| step(random, volumes as u64)).collect()
}

fn step(random: &mut Random, volumes: u64) -> Step {
    let volume = random.below(volumes) as usize;
    match random.below(16) {
        0..5 => {
            let end = *random.of(&[End::Committed, End::Committed, End::Uncommitted, End::Death]);
            Step::Append { volume, groups: groups(random), end, unload: random.once_in(3) }
        }
        5..11 => {
            let skip_max = *random.of(&[8, 60]);
            let skip = random.below(skip_max) as u32;
            Step::Failing { volume, groups: groups(random), fault: trouble(random), skip }
        }
        11 => Step::Read { volume },
        12 | 13 => Step::Restart { orderly: random.once_in(3) },
        14 => Step::PowerCut,
        _ if random.once_in(3) => Step::Foreign { volume },
        _ => Step::Swap,
    }
}

/// Lengths of packs, in groups.
fn groups(random: &mut Random) -> Vec<Vec<u64>> {
    let lengths = [1, 300, 20_000, 524_287, 524_288, 524_289, 1_048_577];
    let group = |random: &mut Random| (0..1 + random.below(3)).map(|_| *random.of(&lengths)).collect();
    (0..1 + random.below(3)).map(|_| group(random)).collect()
}

/// Where it can happen, with the weight that what is written deserves.
const AT: [Option<u8>; 12] = [
    None,
    None,
    Some(opcode::WRITE_6),
    Some(opcode::WRITE_6),
    Some(opcode::WRITE_6),
    Some(opcode::WRITE_FILEMARKS_6),
    Some(opcode::WRITE_FILEMARKS_6),
    Some(opcode::WRITE_ATTRIBUTE),
    Some(opcode::LOCATE_16),
    Some(opcode::READ_POSITION),
    Some(opcode::LOG_SENSE),
    Some(opcode::LOAD_UNLOAD),
];

/// What is not only waited for, which would take a second each.
#[rustfmt::skip] // read by columns
const SENSES: [(u8, u8, u8); 22] = [
    (0x0, 0x00, 0x00), (0x0, 0x00, 0x17), (0x1, 0x5D, 0x00), (0x2, 0x04, 0x12), (0x2, 0x04, 0x83),
    (0x3, 0x0C, 0x00), (0x3, 0x11, 0x00), (0x3, 0x14, 0x03), (0x3, 0x3B, 0x00), (0x3, 0x50, 0x00),
    (0x3, 0x52, 0x00), (0x4, 0x10, 0x01), (0x4, 0x44, 0x00), (0x5, 0x20, 0x00), (0x5, 0x24, 0x00),
    (0x6, 0x28, 0x00), (0x6, 0x29, 0x00), (0x6, 0x2A, 0x01), (0x7, 0x27, 0x00), (0xB, 0x4B, 0x00),
    (0xB, 0x10, 0x01), (0xD, 0x00, 0x02),
];

fn trouble(random: &mut Random) -> Trouble {
    let &(key, asc, ascq) = random.of(&SENSES);
    let sense = Sense::new(key, asc, ascq);
    let effect = match random.below(12) {
        // A command that was not done is never told as done.
        0..5 if key > 1 => Effect::Fail(sense),
        0..5 => Effect::FailAfter(sense),
        5 => Effect::FailAfter(sense),
        6 if key > 1 => Effect::Fail(sense.deferred()),
        6 => Effect::FailAfter(sense),
        7 => Effect::Silence,
        8 => Effect::SilenceAfter,
        9 => Effect::PowerCut,
        _ => Effect::PowerCutAfter,
    };
    Trouble { opcode: *random.of(&AT), effect }
}
