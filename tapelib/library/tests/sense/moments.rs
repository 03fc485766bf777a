//! When a device says something, and the work that it says it to.

use library::{AppendError, Error, WorkEnd};
use scsi::{Class, Sense, opcode};
use virtual_library::{Effect, Fault, Unit};

use super::Volume;
use super::host::{Host, content, remember};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moment {
    /// Instead of taking a block of a pack.
    Write,
    /// After a block was taken.
    Written,
    /// Of a block taken earlier, at the next one.
    Late,
    /// Instead of the filemark that closes an index.
    Close,
    /// After that filemark.
    Closed,
    /// Of a block taken earlier, at that filemark.
    LateClose,
    /// At a question in the middle of a pack.
    Ask,
    /// When the position is compared there.
    Position,
    /// When the drive is asked whether the cartridge is ready.
    Ready,
    /// When settings are made for a new cartridge.
    Set,
    /// On the way to the labels of a new cartridge.
    Locate,
    /// On the way to the end of data.
    SpaceToEnd,
    /// On the way back from there.
    SpaceBack,
    /// Instead of a block of a pack that is read.
    Read,
    /// When the cartridge is let go.
    Unload,
    /// When the cartridge is fetched, before it was moved.
    Fetch,
    /// And after it was.
    Fetched,
    /// When it is put back, before it was moved.
    PutBack,
    /// At a question to the changer.
    Inventory,
}

impl Moment {
    /// What kind of command is answered.
    pub fn class(self) -> Class {
        match self {
            Self::Write | Self::Written | Self::Late | Self::Close | Self::Closed | Self::LateClose => {
                Class::Write
            }
            Self::Ask | Self::Position | Self::Ready | Self::Inventory => Class::Question,
            Self::Set => Class::Setting,
            Self::Locate | Self::SpaceToEnd | Self::SpaceBack => Class::Motion,
            Self::Read => Class::Read,
            Self::Unload => Class::Unload,
            Self::Fetch | Self::Fetched | Self::PutBack => Class::Move,
        }
    }

    fn fault(self, unit: Unit, sense: Sense) -> Fault {
        let (code, skip) = match self {
            Self::Write | Self::Written | Self::Late => (opcode::WRITE_6, 1),
            Self::Close | Self::Closed | Self::LateClose => (opcode::WRITE_FILEMARKS_6, 1),
            Self::Ask => (opcode::LOG_SENSE, 1),
            Self::Position => (opcode::READ_POSITION, 1),
            Self::Ready => (opcode::TEST_UNIT_READY, 0),
            Self::Set => (opcode::MODE_SELECT_6, 0),
            Self::Locate => (opcode::LOCATE_16, 0),
            Self::SpaceToEnd => (opcode::SPACE_16, 0),
            Self::SpaceBack => (opcode::SPACE_16, 1),
            Self::Read => (opcode::READ_6, 1),
            Self::Unload => (opcode::LOAD_UNLOAD, 0),
            Self::Fetch | Self::Fetched | Self::PutBack => (opcode::MOVE_MEDIUM, 0),
            Self::Inventory => (opcode::READ_ELEMENT_STATUS, 0),
        };
        let effect = match self {
            Self::Written | Self::Closed | Self::Fetched => Effect::FailAfter(sense),
            Self::Late | Self::LateClose => Effect::Fail(sense.deferred()),
            _ => Effect::Fail(sense),
        };
        Fault { unit, opcode: Some(code), skip, times: 1, effect }
    }

    /// Does work and has it told. `false` when the volume was said to be full.
    pub fn tell(self, host: &Host, volume: &mut Volume, sense: Sense) -> Result<bool, Error> {
        match self {
            Self::Write
            | Self::Written
            | Self::Late
            | Self::Close
            | Self::Closed
            | Self::LateClose
            | Self::Ask
            | Self::Position => self.write(host, volume, sense),
            Self::Read => self.read(host, volume, sense),
            Self::Unload | Self::PutBack => self.put_away(host, volume, sense),
            Self::Ready | Self::Set | Self::Locate | Self::SpaceToEnd | Self::SpaceBack => {
                self.mount(host, volume, sense, &[Unit::Drive(0), Unit::Drive(1)])
            }
            Self::Fetch | Self::Fetched | Self::Inventory => {
                self.mount(host, volume, sense, &[Unit::Changer])
            }
        }
    }

    /// Writes a pack of several blocks to the volume, which is in a drive.
    fn write(self, host: &Host, volume: &mut Volume, sense: Sense) -> Result<bool, Error> {
        let n = volume.next();
        let (pack, fault) = (host.spool(n), self.fault(holder(host, volume), sense));
        let faults = host.machine.faults();
        let (told, heard) = std::sync::mpsc::channel();
        let result = host.append_with(&volume.barcode, &volume.row, move |mounted| {
            faults.inject(fault);
            let appended = pack.append(mounted);
            let full = matches!(appended, Err(AppendError::Full));
            told.send(!full).unwrap();
            if full || appended.is_ok() {
                drop(mounted.commit());
            }
            if full { WorkEnd::Unload } else { WorkEnd::Keep }
        });
        assert_eq!(host.machine.faults().pending(), 0, "{self:?} was not met");
        let fits = heard.recv().unwrap();
        remember(&mut volume.row, &result?);
        if fits {
            volume.committed.push(n);
        }
        Ok(fits)
    }

    fn read(self, host: &Host, volume: &Volume, sense: Sense) -> Result<bool, Error> {
        let n = *volume.committed.iter().find(|n| **n % 4 == 1).expect("one of several blocks");
        host.machine.faults().inject(self.fault(holder(host, volume), sense));
        let read = host.read_with(&volume.barcode, &volume.row, move |mounted| {
            let packs = mounted.packs();
            let pack = packs.iter().find(|pack| pack.id == format!("PACK-{n}")).unwrap();
            let mut bytes = Vec::new();
            mounted.read_pack(pack.start_block, 0..pack.bytes, &mut bytes).map(|()| bytes)
        });
        assert_eq!(host.machine.faults().pending(), 0, "{self:?} was not met");
        assert!(read?? == content(n), "what is read is what was written, or an error");
        Ok(true)
    }

    /// The volume is in a drive and is to be put away.
    fn put_away(self, host: &Host, volume: &mut Volume, sense: Sense) -> Result<bool, Error> {
        let unit = if self == Self::PutBack { Unit::Changer } else { holder(host, volume) };
        host.machine.faults().inject(self.fault(unit, sense));
        self.unload(host, volume)?;
        assert_eq!(host.machine.faults().pending(), 0, "{self:?} was not met");
        Ok(true)
    }

    /// The volume is in a slot and is wanted for writing.
    fn mount(self, host: &Host, volume: &mut Volume, sense: Sense, units: &[Unit]) -> Result<bool, Error> {
        self.unload(host, volume)?;
        units.iter().for_each(|unit| host.machine.faults().inject(self.fault(*unit, sense)));
        let n = volume.next();
        let result = host.append(&volume.barcode, &mut volume.row, &[n]);
        // Only one of the drives was asked.
        assert_eq!(host.machine.faults().pending(), units.len() - 1, "{self:?} was not met");
        host.machine.faults().clear();
        result?;
        volume.committed.push(n);
        Ok(true)
    }

    fn unload(self, host: &Host, volume: &mut Volume) -> Result<(), Error> {
        let report = host.append_with(&volume.barcode, &volume.row, |_| WorkEnd::Unload)?;
        remember(&mut volume.row, &report);
        // Told before the cartridge is let go.
        host.library.quiesce(std::time::Duration::from_secs(60)).unwrap();
        Ok(())
    }
}

/// The drive that has the volume.
fn holder(host: &Host, volume: &Volume) -> Unit {
    let holds = |drive: &library::DriveStatus| drive.barcode.as_ref() == Some(&volume.barcode);
    Unit::Drive(host.library.drives().iter().position(holds).expect("in a drive"))
}
