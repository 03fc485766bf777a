//! What can be made to go wrong, on purpose: commands that fail or stay unanswered, blocks that cannot be read, loads
//! that take their time.

mod line;

use crate::geometry::Barcode;
use crate::sense::Sense;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A logical unit of the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// The medium changer.
    Changer,
    /// The drive with this index, from 0.
    Drive(usize),
}

/// What happens instead of the usual answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// CHECK CONDITION with this sense; the command was not carried out.
    Fail(Sense),
    /// The command is carried out, and then CHECK CONDITION with this sense.
    FailAfter(Sense),
    /// No answer; the command was not carried out.
    Silence,
    /// The command is carried out, but no answer comes.
    SilenceAfter,
    /// Status BUSY; the command was not carried out.
    Busy,
    /// The power of the whole library fails and comes back before the command is carried out; no answer.
    PowerCut,
    /// The same after it was carried out: in the buffer, unless it brought everything to the tape.
    PowerCutAfter,
}

/// One planned fault: of the commands to `unit` with `opcode`, `skip` pass and the next `times` are hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Whose commands.
    pub unit: Unit,
    /// Which commands; `None` is every command.
    pub opcode: Option<u8>,
    /// How many such commands pass unharmed first.
    pub skip: u32,
    /// How many are hit after that.
    pub times: u32,
    /// What happens to them.
    pub effect: Effect,
}

/// Anything that can be planned to go wrong. As configuration writes it: see `faults/line.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// A command is answered otherwise.
    Command(Fault),
    /// A block cannot be read: [`Faults::damage_block`].
    Unreadable {
        /// On which cartridge.
        barcode: Barcode,
        /// In which partition.
        partition: u8,
        /// Its number there.
        block: u64,
    },
    /// The next load takes its time: [`Faults::ready_after`].
    SlowLoad {
        /// In which drive.
        drive: usize,
        /// How often the drive is asked meanwhile.
        polls: u32,
    },
    /// A TapeAlert is raised: [`Faults::alert`].
    Alert {
        /// By which drive.
        drive: usize,
        /// Its number.
        number: u8,
    },
}

impl Planned {
    /// The drive it is about, if it is about one.
    pub fn drive(&self) -> Option<usize> {
        match self {
            Self::Command(Fault { unit: Unit::Drive(drive), .. })
            | Self::SlowLoad { drive, .. }
            | Self::Alert { drive, .. } => Some(*drive),
            Self::Command(Fault { unit: Unit::Changer, .. }) | Self::Unreadable { .. } => None,
        }
    }
}

/// The handle faults are planned through; clones act on the same library.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    faults: Vec<Fault>,
    damaged: BTreeSet<(Barcode, u8, u64)>,
    ready_after: BTreeMap<usize, u32>,
    alerts: BTreeMap<usize, BTreeSet<u8>>,
}

impl Faults {
    /// Plans a fault. Several may wait for the same command: the one planned first hits.
    pub fn inject(&self, fault: Fault) {
        self.planned().faults.push(fault);
    }

    /// Plans whatever it is.
    pub fn plan(&self, planned: &Planned) {
        match planned {
            Planned::Command(fault) => self.inject(*fault),
            Planned::Unreadable { barcode, partition, block } => {
                self.damage_block(barcode, *partition, *block);
            }
            Planned::SlowLoad { drive, polls } => self.ready_after(*drive, *polls),
            Planned::Alert { drive, number } => self.alert(*drive, *number),
        }
    }

    /// The next command with `opcode` to `unit`, after `skip` that pass, fails with `sense` and is not carried out.
    pub fn fail(&self, unit: Unit, opcode: u8, skip: u32, sense: Sense) {
        self.inject(Fault { unit, opcode: Some(opcode), skip, times: 1, effect: Effect::Fail(sense) });
    }

    /// Every read of this block fails with MEDIUM ERROR, unrecovered read error, until [`Self::clear`].
    pub fn damage_block(&self, barcode: &Barcode, partition: u8, block: u64) {
        self.planned().damaged.insert((barcode.clone(), partition, block));
    }

    /// The next load in drive `drive` is "becoming ready" for this many TEST UNIT READY commands.
    pub fn ready_after(&self, drive: usize, polls: u32) {
        self.planned().ready_after.insert(drive, polls);
    }

    /// Drive `drive` raises a TapeAlert (1 to 64), until it has been read.
    pub fn alert(&self, drive: usize, number: u8) {
        self.planned().alerts.entry(drive).or_default().insert(number);
    }

    /// Forgets everything planned.
    pub fn clear(&self) {
        *self.planned() = Plan::default();
    }

    /// How many planned faults have not been used up.
    pub fn pending(&self) -> usize {
        self.planned().faults.len()
    }

    /// What shall happen to this command, if anything; counts it.
    pub(crate) fn strike(&self, unit: Unit, opcode: u8) -> Option<Effect> {
        let mut plan = self.planned();
        let mut hit = None;
        for fault in &mut plan.faults {
            if fault.unit != unit || fault.opcode.is_some_and(|wanted| wanted != opcode) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if hit.is_none() && fault.times > 0 {
                fault.times -= 1;
                hit = Some(fault.effect);
            }
        }
        plan.faults.retain(|fault| fault.times > 0);
        hit
    }

    pub(crate) fn is_damaged(&self, barcode: &Barcode, partition: u8, block: u64) -> bool {
        let plan = self.planned();
        !plan.damaged.is_empty() && plan.damaged.contains(&(barcode.clone(), partition, block))
    }

    pub(crate) fn take_ready_after(&self, drive: usize) -> u32 {
        self.planned().ready_after.remove(&drive).unwrap_or(0)
    }

    /// The alerts of a drive; reading them clears them.
    pub(crate) fn take_alerts(&self, drive: usize) -> BTreeSet<u8> {
        self.planned().alerts.remove(&drive).unwrap_or_default()
    }

    /// A cleaning takes away the wish for one.
    pub(crate) fn cleaned(&self, drive: usize) {
        if let Some(alerts) = self.planned().alerts.get_mut(&drive) {
            alerts.retain(|number| !scsi::log::Alert::numbered(*number).wants_cleaning());
        }
    }

    fn planned(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
