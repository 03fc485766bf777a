//! What a drive says about itself and the cartridge in it, around a mount: whether the cartridge can be written, what
//! it warns of, and who may take it out.

use scsi::log::Severity;
use scsi::{Condition, Drive};

use crate::Error;
use crate::error::{Place, chain};

/// Refuses a cartridge that cannot be a volume to write to: write-protected, write-once (it cannot be divided, and
/// indexes could not be replaced), or for cleaning.
pub(crate) fn refuse_unwritable(drive: &mut Drive, place: &Place) -> Result<(), Error> {
    let medium = drive.medium().map_err(|error| place.drive_error(error))?;
    let refuse = |why| Err(Error::NotWritable { barcode: place.barcode.clone(), why });
    match medium {
        _ if medium.cleaning => refuse("a cleaning cartridge"),
        _ if medium.write_once => refuse("write-once"),
        _ if medium.write_protected => refuse("write-protected"),
        _ => Ok(()),
    }
}

/// Refuses to label in a drive that makes one partition only.
pub(crate) fn refuse_undivided(drive: &mut Drive, place: &Place) -> Result<(), Error> {
    match drive.partitions_max().map_err(|error| place.drive_error(error))? {
        0 | 1 => Err(Error::NotWritable {
            barcode: place.barcode.clone(),
            why: "in a drive that makes no second partition, which LTFS needs (LTO-5 and later do)",
        }),
        _ => Ok(()),
    }
}

/// What a drive has to say.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    pub wants_cleaning: bool,
    /// The cleaning cartridge in it is of no use any more, or of no use here.
    pub cleaner_spent: bool,
    /// Warnings and worse.
    pub told: Vec<String>,
}

/// Asks the drive for its alerts and tells them to whoever reads the log. A drive that does not have them, or does not
/// answer this question, is none the worse for it: what matters shows in the commands that follow.
pub(crate) fn tell_alerts(drive: &mut Drive, place: &Place, when: &str) -> Alerts {
    let alerts = match drive.alerts() {
        Ok(alerts) => alerts,
        Err(error) => {
            tracing::debug!(drive = place.drive, error = chain(&error), "no alerts to be had {when}");
            return Alerts { wants_cleaning: drive.cleaning_wanted(), ..Alerts::default() };
        }
    };
    for alert in &alerts {
        let (serial, barcode, number) = (&place.drive, &place.barcode, alert.number);
        match alert.severity {
            Severity::Information => tracing::info!(drive = serial, %barcode, number, "{when}: {alert}"),
            Severity::Warning => tracing::warn!(drive = serial, %barcode, number, "{when}: {alert}"),
            Severity::Critical => tracing::error!(drive = serial, %barcode, number, "{when}: {alert}"),
        }
    }
    let serious = alerts.iter().filter(|alert| alert.severity != Severity::Information);
    Alerts {
        wants_cleaning: drive.cleaning_wanted() || alerts.iter().any(scsi::log::Alert::wants_cleaning),
        cleaner_spent: alerts.iter().any(|alert| CLEANER_SPENT.contains(&alert.number)),
        told: serious.map(|alert| format!("{when}: {alert}")).collect(),
    }
}

/// TapeAlert flags of a cleaning cartridge that is used up, or of the wrong kind.
const CLEANER_SPENT: [u8; 2] = [22, 23];

/// Keeps the cartridge in while it is in use, or lets it go. Drives without the command are left as they are.
pub(crate) fn keep_in(drive: &mut Drive, keep: bool) -> Result<(), scsi::Error> {
    match drive.prevent_removal(keep) {
        Err(error) if error.sense().is_some_and(|sense| sense.condition() == Condition::UnknownOperation) => {
            Ok(())
        }
        result => result,
    }
}
