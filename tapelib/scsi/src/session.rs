//! One unit behind a transport: what both drivers share. Status and sense become [`Answer`] or [`Error`] here, and
//! the rule for unit attentions lives here.
//!
//! A unit attention says that something happened and that the command was not done. A question (nothing moves) is
//! asked once more, and the attention is remembered: until the driver has read the state again, commands that depend
//! on it are refused with [`Error::Attention`]. So an attention can never vanish between a question and a write.

use std::fmt;
use std::time::Duration;

use crate::condition::{Action, Condition};
use crate::error::{Error, Step, Unit};
use crate::limits::{ATTENTIONS_MAX, NO_MEDIUM_GRACE, READY_POLL, TIMEOUT_SMALL};
use crate::mode::ModeData;
use crate::reservation::{self, Change, Holder};
use crate::spc::{
    self, DeviceType, InquiryData, ModeForm, ModeValues, ReservationAction, ReservationQuery, vpd,
};
use crate::wire::len8;
use crate::{Command, Data, ParseError, Sense, SenseKey, Status, Transport};

/// Who answers behind a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor, product and revision.
    pub inquiry: InquiryData,
    /// Serial number: what the unit is known by, whatever path leads to it.
    pub serial: String,
}

pub(crate) enum Answer {
    Good { transferred: usize },
    Check { sense: Sense, transferred: usize },
}

/// How a driver waits for a device that is busy with something else and has not begun what it was asked.
pub(crate) struct Patience {
    /// For at most so long, one command.
    pub(crate) limit: Duration,
    /// Lets time pass.
    pub(crate) wait: Box<dyn Fn(Duration) + Send>,
}

/// What is told to a caller who waits for a device to become ready, before every pause.
#[derive(Clone, Copy, Debug)]
pub struct Waiting {
    /// How long the caller shall let pass; asking sooner does no harm.
    pub pause: Duration,
    /// How long was waited before.
    pub waited: Duration,
    /// What the device said last; `None` when it was busy.
    pub last: Option<Sense>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.last.as_ref().map_or("busy", |sense| sense.row().meaning);
        write!(f, "{said}, for {} s", self.waited.as_secs())
    }
}

pub(crate) struct Session {
    transport: Box<dyn Transport>,
    unit: Unit,
    pub(crate) patience: Option<Patience>,
    /// Objects that were accepted into the drive's buffer since it was last emptied onto the tape.
    pub(crate) unsynced: u64,
    attention: Option<Attention>,
    /// A write has failed, as an answer to it or to whatever was asked later, and the position was not read since.
    pub(crate) doubt: bool,
    cleaning_wanted: bool,
}

struct Attention {
    sense: Sense,
    /// The caller has seen it as an error.
    told: bool,
}

impl Session {
    pub(crate) fn new(transport: Box<dyn Transport>, unit: Unit) -> Self {
        Self {
            transport,
            unit,
            patience: None,
            unsynced: 0,
            attention: None,
            doubt: false,
            cleaning_wanted: false,
        }
    }

    pub(crate) fn step(&self, command: impl Into<Command>) -> Step {
        Step { unit: self.unit, command: command.into() }
    }

    pub(crate) fn cleaning_wanted(&self) -> bool {
        self.cleaning_wanted
    }

    pub(crate) fn was_cleaned(&mut self) {
        self.cleaning_wanted = false;
    }

    /// The largest transfer that the path carries, when it knows one.
    pub(crate) fn transfer_max(&self) -> Option<u32> {
        self.transport.transfer_max()
    }

    /// Sends a command until the device has begun it: once, and again only while the device says that it is busy or
    /// becoming ready, which no command of whatever kind survives. A unit attention and a deferred error are errors:
    /// the command was not done.
    pub(crate) fn send(
        &mut self,
        command: impl Into<Command>,
        mut data: Data<'_>,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        let command = command.into();
        let mut waited = Duration::ZERO;
        loop {
            let again = match &mut data {
                Data::None => Data::None,
                Data::In(buffer) => Data::In(buffer),
                Data::Out(bytes) => Data::Out(bytes),
            };
            let result = self.send_once(command, again, timeout);
            let passing = match &result {
                Err(Error::Busy { .. }) => true,
                Ok(Answer::Check { sense, .. }) => sense.row().action == Action::Wait,
                _ => false,
            };
            match &self.patience {
                Some(patience) if passing && waited < patience.limit => {
                    let pause = READY_POLL.min(patience.limit - waited);
                    (patience.wait)(pause);
                    waited += pause;
                }
                _ => return result,
            }
        }
    }

    fn send_once(
        &mut self,
        command: impl Into<Command>,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        let step = self.step(command);
        let room = match &data {
            Data::None => 0,
            Data::In(buffer) => buffer.len(),
            Data::Out(bytes) => bytes.len(),
        };
        if let Some(maximum) =
            self.transfer_max().filter(|most| u32::try_from(room).map_or(true, |room| room > *most))
        {
            return Err(Error::PathTooNarrow { step, length: room, maximum });
        }
        let completion = self
            .transport
            .execute(&step.command.cdb(), data, timeout)
            .map_err(|source| Error::Unanswered { step, source })?;
        let transferred = completion.transferred.min(room);
        match completion.status {
            Status::Good => Ok(Answer::Good { transferred }),
            Status::Busy | Status::Other(TASK_SET_FULL) => Err(Error::Busy { step }),
            Status::ReservationConflict => Err(Error::Reserved { step }),
            Status::Other(status) => Err(Error::Status { step, status }),
            Status::CheckCondition => {
                let sense = Sense::parse(&completion.sense).ok_or(Error::Unexplained { step })?;
                if sense.deferred {
                    self.doubt = true;
                    return Err(Error::Deferred { step, sense, unsynced: self.unsynced });
                }
                if sense.key == SenseKey::UnitAttention {
                    self.attention = Some(Attention { sense, told: true });
                    return Err(Error::Attention { step, sense });
                }
                self.cleaning_wanted |= sense.condition() == Condition::CleaningWanted;
                Ok(Answer::Check { sense, transferred })
            }
        }
    }

    /// Sends a command once and wants it done. Returns how many bytes moved.
    pub(crate) fn perform(
        &mut self,
        command: impl Into<Command>,
        data: Data<'_>,
        timeout: Duration,
    ) -> Result<usize, Error> {
        let step = self.step(command);
        match self.send(step.command, data, timeout)? {
            Answer::Good { transferred } => Ok(transferred),
            Answer::Check { sense, transferred } if is_done(&sense) => Ok(transferred),
            Answer::Check { sense, .. } => Err(Error::Check { step, sense }),
        }
    }

    /// Sends a command that moves nothing; after a unit attention, or when the device gave it up or the path lost it,
    /// once more. An empty buffer means no data.
    pub(crate) fn ask(
        &mut self,
        command: impl Into<Command>,
        buffer: &mut [u8],
        timeout: Duration,
    ) -> Result<usize, Error> {
        let command = command.into();
        match self.perform(command, data_in(buffer), timeout) {
            Err(Error::Attention { sense, .. }) => {
                self.attention = Some(Attention { sense, told: false });
                self.perform(command, data_in(buffer), timeout)
            }
            Err(error) if error.is_worth_repeating() => self.perform(command, data_in(buffer), timeout),
            result => result,
        }
    }

    /// As [`Session::ask`], with data for the device.
    pub(crate) fn tell(&mut self, command: impl Into<Command>, bytes: &[u8]) -> Result<(), Error> {
        let command = command.into();
        match self.perform(command, Data::Out(bytes), TIMEOUT_SMALL) {
            Err(Error::Attention { sense, .. }) => {
                self.attention = Some(Attention { sense, told: false });
                self.perform(command, Data::Out(bytes), TIMEOUT_SMALL).map(drop)
            }
            Err(error) if error.is_worth_repeating() => {
                self.perform(command, Data::Out(bytes), TIMEOUT_SMALL).map(drop)
            }
            result => result.map(drop),
        }
    }

    /// Refuses `command` while an attention stands.
    pub(crate) fn require_settled(&mut self, command: impl Into<Command>) -> Result<(), Error> {
        let step = self.step(command);
        match &mut self.attention {
            None => Ok(()),
            Some(attention) => {
                attention.told = true;
                Err(Error::Attention { step, sense: attention.sense })
            }
        }
    }

    /// Refuses `command` once, when an attention stands that the caller has not seen.
    pub(crate) fn require_told(&mut self, command: impl Into<Command>) -> Result<(), Error> {
        match self.attention {
            Some(Attention { told: false, .. }) => self.require_settled(command),
            _ => Ok(()),
        }
    }

    /// The state has been read again. True when an attention stood.
    pub(crate) fn settle(&mut self) -> bool {
        self.attention.take().is_some()
    }

    pub(crate) fn reply<C: Into<Command>>(&self, command: C) -> impl FnOnce(ParseError) -> Error + use<C> {
        let step = self.step(command);
        move |source| Error::Reply { step, source }
    }

    pub(crate) fn missing(&self, command: impl Into<Command>, what: &'static str) -> Error {
        Error::Missing { step: self.step(command), what }
    }

    // === What every device answers ===

    pub(crate) fn identify(&mut self) -> Result<Identity, Error> {
        let mut buffer = [0; 96];
        let command = spc::Command::Inquiry { page: None, allocation: 96 };
        let length = self.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        let inquiry = InquiryData::parse(&buffer[..length]).map_err(self.reply(command))?;
        let expected = match self.unit {
            Unit::Drive => DeviceType::Drive,
            Unit::Changer => DeviceType::Changer,
        };
        if inquiry.device_type != expected || !inquiry.connected {
            return Err(Error::WrongDevice { unit: self.unit, found: inquiry.device_type });
        }
        let mut buffer = [0; 255];
        let command = spc::Command::Inquiry { page: Some(vpd::SERIAL), allocation: 255 };
        let length = self.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        let serial = spc::parse_serial(&buffer[..length]).map_err(self.reply(command))?;
        match serial.is_empty() {
            false => Ok(Identity { inquiry, serial }),
            true => Err(self.missing(command, "serial number")),
        }
    }

    /// Asks until the unit is ready, calling `wait` in between; attentions on the way are taken and remembered.
    pub(crate) fn wait_ready(&mut self, limit: Duration, wait: &dyn Fn(&Waiting)) -> Result<(), Error> {
        let command = spc::Command::TestUnitReady;
        let step = self.step(command);
        let mut waited = Duration::ZERO;
        let mut attentions = 0;
        loop {
            let last = match self.send_once(command, Data::None, TIMEOUT_SMALL) {
                Ok(Answer::Good { .. }) => return Ok(()),
                Ok(Answer::Check { sense, .. }) if is_done(&sense) => return Ok(()),
                Ok(Answer::Check { sense, .. }) if is_passing(&sense, waited) => Some(sense),
                Ok(Answer::Check { sense, .. }) => return Err(Error::Check { step, sense }),
                Err(Error::Busy { .. }) => None,
                Err(Error::Attention { .. }) if attentions < ATTENTIONS_MAX => {
                    attentions += 1;
                    self.attention.iter_mut().for_each(|attention| attention.told = false);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if waited >= limit {
                return match last {
                    // No wait would have helped: say what it is.
                    Some(sense) if sense.row().action != Action::Wait => Err(Error::Check { step, sense }),
                    _ => Err(Error::NotReady { unit: self.unit, seconds: limit.as_secs(), last }),
                };
            }
            let pause = READY_POLL.min(limit - waited);
            wait(&Waiting { pause, waited, last });
            waited += pause;
        }
    }

    /// Header, block descriptor if wanted, and the page; current values.
    pub(crate) fn mode_sense(&mut self, page: u8, block_descriptor: bool) -> Result<ModeData, Error> {
        self.mode_data(mode_sense(page, 0, block_descriptor))
    }

    fn mode_data(&mut self, command: spc::Command) -> Result<ModeData, Error> {
        let mut buffer = [0; 255];
        let length = self.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        ModeData::parse_sense(ModeForm::Six, &buffer[..length]).map_err(self.reply(command))
    }

    /// One mode page, through `parse`.
    pub(crate) fn mode_page<T>(
        &mut self,
        page: u8,
        parse: impl FnOnce(&[u8]) -> Result<T, ParseError>,
    ) -> Result<T, Error> {
        self.mode_subpage(page, 0, parse)
    }

    /// One subpage of a mode page, through `parse`; 0 is the page itself.
    pub(crate) fn mode_subpage<T>(
        &mut self,
        page: u8,
        subpage: u8,
        parse: impl FnOnce(&[u8]) -> Result<T, ParseError>,
    ) -> Result<T, Error> {
        let command = mode_sense(page, subpage, false);
        let data = self.mode_data(command)?;
        let found = data.subpage(page, subpage).and_then(|bytes| bytes.map(parse).transpose());
        found.map_err(self.reply(command))?.ok_or_else(|| self.missing(command, "such page"))
    }

    // === Reservations ===

    /// Makes the unit this host's alone, under `key`, and takes it from an older self: whoever has it under a smaller
    /// key of the same owner. Returns the key it was taken from. Others keep it: [`Error::Reserved`].
    pub(crate) fn reserve(&mut self, key: u64) -> Result<Option<u64>, Error> {
        let change = |key, other| Change { key, other, every_port: false }.encode();
        self.reserve_out(ReservationAction::RegisterAnyway, &change(0, key))?;
        let refused = match self.reserve_out(ReservationAction::Reserve, &change(key, 0)) {
            Err(refused @ Error::Reserved { .. }) => refused,
            result => return result.map(|()| None),
        };
        let Some(holder) = self.reservation()? else {
            // Given back between the two commands.
            return self.reserve_out(ReservationAction::Reserve, &change(key, 0)).map(|()| None);
        };
        if holder.key > key || reservation::owner(holder.key) != reservation::owner(key) {
            return Err(refused);
        }
        self.reserve_out(ReservationAction::Preempt, &change(key, holder.key))?;
        Ok(Some(holder.key))
    }

    /// Gives the unit back and forgets `key`.
    pub(crate) fn release(&mut self, key: u64) -> Result<(), Error> {
        let change = Change { key, other: 0, every_port: false }.encode();
        self.reserve_out(ReservationAction::Release, &change)?;
        self.reserve_out(ReservationAction::Register, &change)
    }

    /// Who holds the unit.
    pub(crate) fn reservation(&mut self) -> Result<Option<Holder>, Error> {
        let mut buffer = [0; 64];
        let command = spc::Command::ReserveIn { what: ReservationQuery::Reservation, allocation: 64 };
        let length = self.ask(command, &mut buffer, TIMEOUT_SMALL)?;
        reservation::parse_holder(&buffer[..length]).map_err(self.reply(command))
    }

    fn reserve_out(&mut self, action: ReservationAction, list: &[u8]) -> Result<(), Error> {
        let length = u32::from(len8(list.len()));
        self.tell(spc::Command::ReserveOut { action, kind: reservation::EXCLUSIVE, length }, list)
    }

    // === Settings ===

    /// Sets header, block descriptor and pages.
    pub(crate) fn mode_select(&mut self, data: &ModeData) -> Result<(), Error> {
        let bytes = data.encode_select(ModeForm::Six);
        let length = u16::from(len8(bytes.len()));
        self.tell(spc::Command::ModeSelect { form: ModeForm::Six, length }, &bytes)
    }
}

/// Status byte of a device that takes no more commands for now (SAM-6, 5.3.1).
const TASK_SET_FULL: u8 = 0x28;

fn mode_sense(page: u8, subpage: u8, block_descriptor: bool) -> spc::Command {
    spc::Command::ModeSense {
        form: ModeForm::Six,
        no_block_descriptor: !block_descriptor,
        values: ModeValues::Current,
        page,
        subpage,
        allocation: 255,
    }
}

/// Sense data that comes with a command that was done.
pub(crate) fn is_done(sense: &Sense) -> bool {
    matches!(sense.condition(), Condition::Nothing | Condition::Recovered | Condition::CleaningWanted)
}

/// A state that ends by itself. A cartridge on its way into a drive is reported as none for a moment.
fn is_passing(sense: &Sense, waited: Duration) -> bool {
    match sense.condition() {
        Condition::NoMedium => waited < NO_MEDIUM_GRACE,
        _ => sense.row().action == Action::Wait,
    }
}

fn data_in(buffer: &mut [u8]) -> Data<'_> {
    match buffer.is_empty() {
        true => Data::None,
        false => Data::In(buffer),
    }
}
