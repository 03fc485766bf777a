//! What can go wrong, and who must act.

use volume::ltfs::{self, TapeErrorKind};

use crate::tape::Cause;
use crate::{Barcode, FenceMismatch, VolumeUuid};

/// What an error is charged to, when only one place was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The drive.
    Drive,
    /// The cartridge.
    Medium,
    /// The way to the device.
    Path,
    /// The changer.
    Changer,
    /// A person has to do something: a write-protect switch, a reservation, a key.
    Operator,
    /// This program, or something that happened to the device meanwhile: nobody's hardware.
    Host,
    /// Nobody yet: trying elsewhere tells.
    Unknown,
}

/// What the caller does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try again now, a bounded number of times, preferably in another drive.
    Retry,
    /// Busy; try again later.
    Wait,
    /// Somebody must look. The code is stable and explained in the runbook.
    Operator(&'static str),
    /// The bytes on this volume are not what was written: use another copy.
    Damage,
    /// A fault of the program.
    Bug,
}

/// Why the library could not do something.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// A device could not be identified at start.
    #[error("identify {device}")]
    Identify {
        /// Which device.
        device: String,
        /// Why.
        #[source]
        source: Cause,
    },
    /// No drive of the changer matches a transport handed over.
    #[error("no drive element of library {library} has a drive that was handed over")]
    NoDrives {
        /// The library.
        library: String,
    },
    /// The cartridge is not in the library, or not ours.
    #[error("cartridge {barcode} is not in the library")]
    Missing {
        /// The cartridge.
        barcode: Barcode,
    },
    /// The cartridge sits in a drive that is down.
    #[error("cartridge {barcode} is stuck in drive {drive}, which is down")]
    Stranded {
        /// The cartridge.
        barcode: Barcode,
        /// Serial of the drive.
        drive: String,
    },
    /// No drive works.
    #[error("every drive is down")]
    NoDriveUp,
    /// A move failed; the inventory was read again.
    #[error("move cartridge {barcode} from element {from} to {to}")]
    Move {
        /// The cartridge.
        barcode: Barcode,
        /// Where it was.
        from: u16,
        /// Where it should go.
        to: u16,
        /// What the changer said.
        #[source]
        source: Cause,
    },
    /// The changer could not be asked.
    #[error("read the inventory")]
    Inventory {
        /// What the changer said.
        #[source]
        source: Cause,
    },
    /// A drive could not load, position, read or write.
    #[error("drive {drive} with cartridge {barcode}: {blame:?}")]
    Drive {
        /// Serial of the drive.
        drive: String,
        /// The cartridge.
        barcode: Barcode,
        /// What it is charged to.
        blame: Blame,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// Bytes on the cartridge cannot be read, or are not what its index says.
    #[error("cartridge {barcode} in drive {drive}: its bytes are damaged")]
    Damaged {
        /// Serial of the drive.
        drive: String,
        /// The cartridge.
        barcode: Barcode,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// Tried elsewhere, a failure was found to be the cartridge's or the drive's.
    #[error("{}", proven(blame, drive, barcode))]
    Proven {
        /// Who is at fault: [`Blame::Medium`] or [`Blame::Drive`].
        blame: Blame,
        /// Serial of the drive.
        drive: String,
        /// The cartridge.
        barcode: Barcode,
        /// What happened this time.
        #[source]
        source: Cause,
    },
    /// The sink that bytes were read into failed; the tape did not.
    #[error("take the bytes read from cartridge {barcode}")]
    Sink {
        /// The cartridge.
        barcode: Barcode,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// An earlier error ended appending to this mount.
    #[error("an earlier error ended appending to cartridge {barcode}")]
    Poisoned {
        /// The cartridge.
        barcode: Barcode,
    },
    /// The volume is not what the caller expects; nothing was written, and nothing may be.
    #[error("cartridge {barcode} is not what the catalog expects")]
    Fence {
        /// The cartridge.
        barcode: Barcode,
        /// The first difference.
        #[source]
        what: FenceMismatch,
    },
    /// A cartridge that should be blank is not.
    #[error("cartridge {barcode} is not blank{}", found.map_or(String::new(), |uuid| format!(": it is volume {uuid}")))]
    NotBlank {
        /// The cartridge.
        barcode: Barcode,
        /// The volume on it, when it is one.
        found: Option<VolumeUuid>,
    },
    /// A write-once or write-protected cartridge.
    #[error("cartridge {barcode} cannot be written: {why}")]
    NotWritable {
        /// The cartridge.
        barcode: Barcode,
        /// Write-protected, write-once, a drive without partitions.
        why: &'static str,
    },
    /// The barcode's first six characters cannot be a volume serial.
    #[error("barcode {barcode} does not start with a volume serial of six letters or digits")]
    Serial {
        /// The cartridge.
        barcode: Barcode,
    },
    /// The caller's work panicked; what it appended since the last commit is lost.
    #[error("the work on cartridge {barcode} panicked")]
    Panicked {
        /// The cartridge.
        barcode: Barcode,
    },
    /// No empty slot to put a cartridge into.
    #[error("no empty slot for cartridge {barcode}")]
    NoSlot {
        /// The cartridge.
        barcode: Barcode,
    },
    /// No mail slot to put a cartridge into.
    #[error("cartridge {barcode} cannot leave: {why}")]
    NoMailSlot {
        /// The cartridge.
        barcode: Barcode,
        /// All full, open, or none there; and what helps.
        why: String,
    },
    /// The mail slot a cartridge is in cannot be reached by the robot.
    #[error("mail slot {element} with cartridge {barcode} is open: close it")]
    MailSlotOpen {
        /// The cartridge.
        barcode: Barcode,
        /// Element address of the mail slot.
        element: u16,
    },
    /// Two cartridges carry one barcode: neither is moved.
    #[error("two cartridges in the library carry the barcode {barcode}")]
    Repeated {
        /// The barcode.
        barcode: Barcode,
    },
    /// The drive that was asked for is down.
    #[error("drive {drive} is down")]
    DriveDown {
        /// Serial of the drive.
        drive: String,
    },
    /// No cleaning cartridge of ours is at hand that is of use.
    #[error("drive {drive} cannot be cleaned: no cleaning cartridge (CLN...) of use is in a slot")]
    NoCleaner {
        /// Serial of the drive.
        drive: String,
    },
    /// A cleaning cartridge did not clean: it is used up, or of the wrong kind.
    #[error("cleaning cartridge {barcode} did not clean drive {drive}: it is used up, or of the wrong kind")]
    NotCleaned {
        /// Serial of the drive.
        drive: String,
        /// The cleaning cartridge.
        barcode: Barcode,
    },
    /// The cartridge is being taken out already.
    #[error("cartridge {barcode} is on its way out")]
    Leaving {
        /// The cartridge.
        barcode: Barcode,
    },
    /// A cartridge that was not brought there by us sits in the drive, and is not ours.
    #[error("a cartridge that is not ours sits in drive {drive}")]
    Occupied {
        /// Serial of the drive.
        drive: String,
    },
    /// A fault of this program ended the job.
    #[error("a fault of this program ended the job")]
    Fault,
    /// What an unclean end left behind could not be journaled.
    #[error("journal the dead end of the volume: {what}")]
    Recovery {
        /// Why not.
        what: String,
    },
    /// The library is shutting down.
    #[error("the library is shutting down")]
    Stopping,
    /// The queue is full.
    #[error("the job queue is full")]
    QueueFull,
    /// No drive of this library has that serial.
    #[error("library {library} has no drive {drive}")]
    NoSuchDrive {
        /// The library.
        library: String,
        /// Serial asked for.
        drive: String,
    },
}

impl Error {
    /// What the caller does about it. Operator codes are explained in the runbook.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Identify { .. } | Self::NoDrives { .. } | Self::NoSuchDrive { .. } => {
                Remedy::Operator("TL-0401")
            }
            Self::NoDriveUp => Remedy::Operator("TL-0402"),
            Self::Missing { .. } => Remedy::Operator("TL-0403"),
            Self::Stranded { .. } | Self::Occupied { .. } => Remedy::Operator("TL-0404"),
            Self::Move { .. } | Self::Inventory { .. } | Self::NoSlot { .. } => Remedy::Operator("TL-0405"),
            Self::Drive { blame: Blame::Operator, .. } => Remedy::Operator("TL-0406"),
            Self::Drive { .. } => Remedy::Retry,
            Self::Damaged { .. } | Self::Proven { blame: Blame::Medium, .. } => Remedy::Damage,
            Self::Proven { .. } => Remedy::Retry,
            Self::DriveDown { .. } => Remedy::Operator("TL-0411"),
            Self::NoMailSlot { .. } | Self::MailSlotOpen { .. } => Remedy::Operator("TL-0416"),
            Self::Repeated { .. } => Remedy::Operator("TL-0417"),
            Self::NoCleaner { .. } | Self::NotCleaned { .. } => Remedy::Operator("TL-0418"),
            Self::Fence { .. } => Remedy::Operator("TL-0412"),
            Self::NotBlank { .. } => Remedy::Operator("TL-0413"),
            Self::NotWritable { .. } => Remedy::Operator("TL-0414"),
            Self::Serial { .. } => Remedy::Operator("TL-0415"),
            Self::Sink { .. } => Remedy::Retry,
            Self::Stopping | Self::QueueFull | Self::Leaving { .. } => Remedy::Wait,
            Self::Panicked { .. } | Self::Poisoned { .. } | Self::Recovery { .. } | Self::Fault => {
                Remedy::Bug
            }
        }
    }

    /// What it is charged to, as far as one place can tell.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Drive { blame, .. } | Self::Proven { blame, .. } => *blame,
            Self::Damaged { .. } => Blame::Medium,
            Self::Move { .. } | Self::Inventory { .. } | Self::NoSlot { .. } => Blame::Changer,
            Self::NoMailSlot { .. }
            | Self::MailSlotOpen { .. }
            | Self::Repeated { .. }
            | Self::NoCleaner { .. }
            | Self::NotCleaned { .. } => Blame::Operator,
            Self::Fence { .. } | Self::NotBlank { .. } | Self::NotWritable { .. } | Self::Missing { .. } => {
                Blame::Operator
            }
            Self::Sink { .. } | Self::Panicked { .. } | Self::Poisoned { .. } | Self::Fault => Blame::Host,
            _ => Blame::Unknown,
        }
    }

    /// Whether the drive must not be used before somebody has looked at it: it did not answer, is broken or taken, or
    /// nobody knows any more how it stands. What the drive said is judged by the sense table.
    pub(crate) fn condemns_drive(&self) -> bool {
        match self {
            Self::Drive { blame, .. } => match self.device_error() {
                Some(error) => error.condemns_device(),
                None => matches!(blame, Blame::Path | Blame::Drive),
            },
            Self::Proven { blame, .. } => *blame == Blame::Drive,
            Self::Occupied { .. } | Self::Fault => true,
            _ => false,
        }
    }

    /// Whether drive and cartridge failed together, and only trying elsewhere tells which of them it is.
    pub(crate) fn is_undecided(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Drive { blame: Blame::Medium | Blame::Drive | Blame::Unknown, .. } => {
                !self.condemns_drive()
            }
            _ => false,
        }
    }

    /// Whether the drive did not answer: any further command may hang as long.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self.device_error(), Some(scsi::Error::Unanswered { .. }))
    }

    /// The drive does not know what was asked of it.
    pub(crate) fn is_of_unknown_command(&self) -> bool {
        let said = self.device_error().and_then(scsi::Error::sense);
        said.is_some_and(|sense| sense.condition() == scsi::Condition::UnknownOperation)
    }

    /// What the drive said, when that is the reason.
    fn device_error(&self) -> Option<&scsi::Error> {
        let Self::Drive { source, .. } = self else { return None };
        let mut error: Option<&(dyn std::error::Error + 'static)> = Some(&**source);
        while let Some(one) = error {
            if let Some(said) = one.downcast_ref() {
                return Some(said);
            }
            error = one.source();
        }
        None
    }
}

impl From<scsi::Blame> for Blame {
    fn from(blame: scsi::Blame) -> Self {
        match blame {
            scsi::Blame::Medium => Self::Medium,
            scsi::Blame::Drive => Self::Drive,
            scsi::Blame::Changer => Self::Changer,
            scsi::Blame::Operator => Self::Operator,
            scsi::Blame::Caller => Self::Host,
            scsi::Blame::Path => Self::Path,
        }
    }
}

/// Where an error happened.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub drive: String,
    pub barcode: Barcode,
}

impl Place {
    /// A drive's error outside a volume: loading, unloading, settings.
    pub(crate) fn drive_error(&self, error: scsi::Error) -> Error {
        let blame = error.blame().into();
        self.error(blame, Cause::from(Box::<dyn std::error::Error + Send + Sync>::from(error)))
    }

    /// A volume's error in our terms.
    pub(crate) fn volume_error(&self, error: ltfs::Error) -> Error {
        let Self { drive, barcode } = self.clone();
        match &error {
            ltfs::Error::Tape(tape) if tape.kind == TapeErrorKind::Unreadable => {
                Error::Damaged { drive, barcode, source: Cause::from(boxed(error)) }
            }
            ltfs::Error::Tape(tape) => {
                let blame = tape
                    .source
                    .downcast_ref()
                    .map_or(Blame::Unknown, |error: &scsi::Error| error.blame().into());
                self.error(blame, Cause::from(boxed(error)))
            }
            ltfs::Error::Position { .. } => self.error(Blame::Drive, Cause::from(boxed(error))),
            ltfs::Error::Label { .. }
            | ltfs::Error::NoIndex
            | ltfs::Error::Index { .. }
            | ltfs::Error::Data { .. } => {
                Error::Damaged { drive, barcode, source: Cause::from(boxed(error)) }
            }
            ltfs::Error::Poisoned => Error::Poisoned { barcode },
            ltfs::Error::Sink(_) => Error::Sink { barcode, source: Cause::from(boxed(error)) },
            _ => self.error(Blame::Host, Cause::from(boxed(error))),
        }
    }

    fn error(&self, blame: Blame, source: Cause) -> Error {
        Error::Drive { drive: self.drive.clone(), barcode: self.barcode.clone(), blame, source }
    }
}

fn boxed(error: ltfs::Error) -> Box<dyn std::error::Error + Send + Sync> {
    Box::new(error)
}

fn proven(blame: &Blame, drive: &str, barcode: &Barcode) -> String {
    match blame {
        Blame::Drive => format!("drive {drive} failed with cartridge {barcode} as with others"),
        _ => format!("cartridge {barcode} failed in drive {drive} as before, and the drive is not to blame"),
    }
}

/// An error with everything below it, for a log or a status.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(one) = source {
        text.push_str(": ");
        text.push_str(&one.to_string());
        source = one.source();
    }
    text
}
