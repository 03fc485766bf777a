//! The medium changer driver (SMC-3).

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Unit};
use crate::limits::{
    ELEMENTS_MAX, TIMEOUT_ELEMENT_STATUS, TIMEOUT_INITIALIZE, TIMEOUT_MOVE, TIMEOUT_SMALL, TRANSFER_MAX,
};
use crate::mode::{ElementAddresses, ElementRange, page};
use crate::session::{Identity, Patience, Session, Waiting};
use crate::smc::{Command, Element, ElementAddress, ElementKind, ElementQuery, ElementStatus};
use crate::{Condition, Data, Transport, spc};

/// A library's robot.
///
/// Every call blocks until the library has answered; a move takes up to minutes.
pub struct Changer {
    session: Session,
}

impl Changer {
    /// A driver that owns the path to the unit. Sends nothing.
    pub fn new(transport: Box<dyn Transport>) -> Self {
        Self { session: Session::new(transport, Unit::Changer) }
    }

    /// The same, waiting with `wait` for at most `limit` whenever the library is busy or, after its door was opened,
    /// becoming ready: a command is then sent again, because it was not begun.
    pub fn patient(mut self, limit: Duration, wait: impl Fn(Duration) + Send + 'static) -> Self {
        self.session.patience = Some(Patience { limit, wait: Box::new(wait) });
        self
    }

    /// Who answers; fails when it is not a changer.
    pub fn identify(&mut self) -> Result<Identity, Error> {
        self.session.identify()
    }

    /// Asks once a second until the library is ready, for at most `limit` of waiting, which `wait` does.
    ///
    /// What happened to the library meanwhile is remembered: a move is refused until `inventory` was read.
    pub fn wait_ready(&mut self, limit: Duration, wait: &dyn Fn(&Waiting)) -> Result<(), Error> {
        self.session.wait_ready(limit, wait)
    }

    /// Which element addresses the library has.
    pub fn addresses(&mut self) -> Result<ElementAddresses, Error> {
        self.session.mode_page(page::ELEMENT_ADDRESSES, ElementAddresses::parse)
    }

    /// Has the robot look at every element again; minutes in a large library.
    pub fn initialize(&mut self) -> Result<(), Error> {
        self.session.ask(Command::InitializeElementStatus, &mut [], TIMEOUT_INITIALIZE).map(drop)
    }

    /// Has the robot look at some elements again.
    pub fn initialize_range(&mut self, start: ElementAddress, count: u16) -> Result<(), Error> {
        let command = Command::InitializeRange { start, count };
        self.session.ask(command, &mut [], TIMEOUT_INITIALIZE).map(drop)
    }

    /// Locks the mail slots, or lets an operator use them.
    pub fn prevent_removal(&mut self, prevent: bool) -> Result<(), Error> {
        let command = spc::Command::PreventAllow { prevent };
        self.session.ask(command, &mut [], TIMEOUT_SMALL).map(drop)
    }

    /// Makes the library this host's alone, under `key`; as [`crate::Drive::reserve`].
    pub fn reserve(&mut self, key: u64) -> Result<Option<u64>, Error> {
        self.session.reserve(key)
    }

    /// Gives the library back.
    pub fn release(&mut self, key: u64) -> Result<(), Error> {
        self.session.release(key)
    }

    /// Every element with what is in it, sorted by kind and address, as the library knows it; the robot does not
    /// move. Read again from the start when something happened meanwhile; a library that does not come to rest is
    /// [`Error::Attention`].
    pub fn inventory(&mut self) -> Result<Vec<Element>, Error> {
        self.session.settle();
        let elements = self.read_elements()?;
        if !self.session.settle() {
            return Ok(elements);
        }
        let elements = self.read_elements()?;
        self.session.require_settled(Command::ReadElementStatus(query(None, ALL, 0)))?;
        Ok(elements)
    }

    /// Moves the cartridge in `source` to `destination`, by whichever arm the library chooses. Sent once.
    ///
    /// [`Error::Unanswered`] means that the cartridge may be at either end or in the arm: read `inventory` and trust
    /// only that. [`Error::Attention`] means that nothing was moved because somebody was at the library: the same.
    pub fn move_medium(&mut self, source: ElementAddress, destination: ElementAddress) -> Result<(), Error> {
        let command = Command::MoveMedium { transport: ElementAddress(0), source, destination };
        self.session.require_settled(command)?;
        self.session.perform(command, Data::None, TIMEOUT_MOVE).map(drop)
    }

    fn read_elements(&mut self) -> Result<Vec<Element>, Error> {
        let addresses = self.addresses()?;
        let mut elements = Vec::new();
        // Each kind by itself: replies for all kinds at once are wrong in some libraries.
        for kind in ElementKind::ALL {
            let range = addresses.range(kind);
            if range.count > 0 {
                elements.extend(self.read_kind(kind, range)?);
            }
        }
        elements.sort_by_key(|element| (element.kind, element.address));
        Ok(elements)
    }

    /// All elements of a kind, some hundred at a time, and never more than the path carries.
    fn read_kind(&mut self, kind: ElementKind, range: ElementRange) -> Result<Vec<Element>, Error> {
        let carried = self.session.transfer_max().map_or(TRANSFER_MAX, |path| path.min(TRANSFER_MAX));
        let at_once = u16::try_from(carried.saturating_sub(HEADER_ROOM) / DESCRIPTOR_ROOM)
            .unwrap_or(u16::MAX)
            .clamp(1, ELEMENTS_MAX);
        let mut elements = Vec::new();
        let mut done = 0;
        while done < range.count {
            let count = (range.count - done).min(at_once);
            let first = ElementAddress(range.first.0.saturating_add(done));
            elements.extend(self.read_some(kind, ElementRange { first, count })?);
            done += count;
        }
        Ok(elements)
    }

    fn read_some(&mut self, kind: ElementKind, range: ElementRange) -> Result<Vec<Element>, Error> {
        let room = HEADER_ROOM + u32::from(range.count) * DESCRIPTOR_ROOM;
        let mut query = query(Some(kind), range, room);
        query.device_ids = kind == ElementKind::Drive;
        let status = match self.read_status(query) {
            // Old libraries do not know the bit: their drives are told apart by asking the drives.
            Err(Error::Check { sense, .. })
                if query.device_ids && sense.condition() == Condition::InvalidField =>
            {
                query.device_ids = false;
                self.read_status(query)?
            }
            status => status?,
        };
        let wanted = u32::try_from(status.bytes_needed).unwrap_or(u32::MAX).min(TRANSFER_MAX);
        let status = match wanted > query.allocation {
            true => {
                query.allocation = wanted;
                self.read_status(query)?
            }
            false => status,
        };
        if u32::try_from(status.bytes_needed).is_ok_and(|needed| needed <= query.allocation) {
            let last = range.first.0.saturating_add(range.count);
            let ours = |element: &Element| {
                element.kind == kind && (range.first.0..last).contains(&element.address.0)
            };
            return Ok(status.elements.into_iter().filter(ours).collect());
        }
        // An element left out would look like a cartridge that has vanished.
        Err(self.session.missing(Command::ReadElementStatus(query), "room for all elements"))
    }

    fn read_status(&mut self, query: ElementQuery) -> Result<ElementStatus, Error> {
        let command = Command::ReadElementStatus(query);
        let mut buffer = vec![0; usize::try_from(query.allocation).expect("24 bits fit a machine word")];
        let length = self.session.ask(command, &mut buffer, TIMEOUT_ELEMENT_STATUS)?;
        ElementStatus::parse(&buffer[..length]).map_err(self.session.reply(command))
    }
}

impl fmt::Debug for Changer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changer").finish_non_exhaustive()
    }
}

fn query(kind: Option<ElementKind>, range: ElementRange, allocation: u32) -> ElementQuery {
    ElementQuery {
        kind,
        volume_tags: true,
        start: range.first,
        count: range.count,
        current_data: true,
        device_ids: false,
        allocation,
    }
}

const ALL: ElementRange = ElementRange { first: ElementAddress(0), count: u16::MAX };
/// The headers of a report of one kind.
const HEADER_ROOM: u32 = 16;
/// Room for a descriptor with two labels and a drive's name; a library that needs more says so.
const DESCRIPTOR_ROOM: u32 = 160;
