//! What can be made to go wrong, on purpose: commands that fail or stay unanswered, blocks that cannot be read, loads
//! that take their time.

use crate::Error;
use crate::geometry::Barcode;
use crate::sense::Sense;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
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

/// A fault as configuration writes it: unit, command (or `any`), effect, and how often.
///
/// ```text
/// drive 0 write_6 fail 3/0C/00 after 5         the sixth WRITE(6) of the first drive
/// drive 1 any fail-after 4/44/00 deferred      an error of an earlier command, told by whatever comes next
/// changer move_medium silence times 2          two moves that do not answer and do not move
/// drive 0 write_filemarks_6 power-cut          also: silence-after, busy, power-cut-after
/// ```
impl FromStr for Fault {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let unclear = |what| Error::Fault { text: text.to_owned(), what };
        let mut words = text.split_whitespace();
        let mut next = |what| words.next().ok_or_else(|| unclear(what));
        let unit = match next("whose command")? {
            "changer" => Unit::Changer,
            "drive" => Unit::Drive(number(next("which drive")?).ok_or_else(|| unclear("which drive"))?),
            _ => return Err(unclear("changer or drive")),
        };
        let opcode = match next("which command")? {
            "any" => None,
            name => Some(scsi::opcode::by_name(name).ok_or_else(|| unclear("which command"))?),
        };
        let effect = match next("what happens")? {
            kind @ ("fail" | "fail-after") => {
                let sense = next("key/code/qualifier")
                    .and_then(|codes| parse_codes(codes).ok_or_else(|| unclear("key/code/qualifier")))?;
                if kind == "fail" { Effect::Fail(sense) } else { Effect::FailAfter(sense) }
            }
            "silence" => Effect::Silence,
            "silence-after" => Effect::SilenceAfter,
            "busy" => Effect::Busy,
            "power-cut" => Effect::PowerCut,
            "power-cut-after" => Effect::PowerCutAfter,
            _ => return Err(unclear("what happens")),
        };
        let mut fault = Self { unit, opcode, skip: 0, times: 1, effect };
        while let Some(word) = words.next() {
            let count = |word: Option<&str>| word.and_then(number).ok_or_else(|| unclear("how often"));
            match (word, &mut fault.effect) {
                ("after", _) => fault.skip = count(words.next())?,
                ("times", _) => fault.times = count(words.next())?,
                ("deferred", Effect::Fail(sense) | Effect::FailAfter(sense)) => *sense = sense.deferred(),
                _ => return Err(unclear("after, times or deferred")),
            }
        }
        Ok(fault)
    }
}

fn number<N: FromStr>(word: &str) -> Option<N> {
    word.parse().ok()
}

/// Sense key, code and qualifier in hexadecimal: `3/0C/00`.
fn parse_codes(text: &str) -> Option<Sense> {
    let mut parts = text.split('/').map(|part| u8::from_str_radix(part, 16));
    let (key, asc, ascq) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    (parts.next().is_none() && key < 16).then(|| Sense::new(key, asc, ascq))
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
        self.plan().faults.push(fault);
    }

    /// The next command with `opcode` to `unit`, after `skip` that pass, fails with `sense` and is not carried out.
    pub fn fail(&self, unit: Unit, opcode: u8, skip: u32, sense: Sense) {
        self.inject(Fault { unit, opcode: Some(opcode), skip, times: 1, effect: Effect::Fail(sense) });
    }

    /// Every read of this block fails with MEDIUM ERROR, unrecovered read error, until [`Self::clear`].
    pub fn damage_block(&self, barcode: &Barcode, partition: u8, block: u64) {
        self.plan().damaged.insert((barcode.clone(), partition, block));
    }

    /// The next load in drive `drive` is "becoming ready" for this many TEST UNIT READY commands.
    pub fn ready_after(&self, drive: usize, polls: u32) {
        self.plan().ready_after.insert(drive, polls);
    }

    /// Drive `drive` raises a TapeAlert (1 to 64), until it has been read.
    pub fn alert(&self, drive: usize, number: u8) {
        self.plan().alerts.entry(drive).or_default().insert(number);
    }

    /// Forgets everything planned.
    pub fn clear(&self) {
        *self.plan() = Plan::default();
    }

    /// How many planned faults have not been used up.
    pub fn pending(&self) -> usize {
        self.plan().faults.len()
    }

    /// What shall happen to this command, if anything; counts it.
    pub(crate) fn strike(&self, unit: Unit, opcode: u8) -> Option<Effect> {
        let mut plan = self.plan();
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
        let plan = self.plan();
        !plan.damaged.is_empty() && plan.damaged.contains(&(barcode.clone(), partition, block))
    }

    pub(crate) fn take_ready_after(&self, drive: usize) -> u32 {
        self.plan().ready_after.remove(&drive).unwrap_or(0)
    }

    /// The alerts of a drive; reading them clears them.
    pub(crate) fn take_alerts(&self, drive: usize) -> BTreeSet<u8> {
        self.plan().alerts.remove(&drive).unwrap_or_default()
    }

    /// A cleaning takes away the wish for one.
    pub(crate) fn cleaned(&self, drive: usize) {
        if let Some(alerts) = self.plan().alerts.get_mut(&drive) {
            alerts.retain(|number| !scsi::log::Alert::numbered(*number).wants_cleaning());
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
