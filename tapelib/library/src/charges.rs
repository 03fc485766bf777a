//! Whether a cartridge or a drive is at fault, found by trying elsewhere: two of three.
//!
//! What failed together is charged to both, until one of the two fails or works with somebody else. Pure.

use crate::Barcode;

/// Failures of a cartridge in one drive, with nothing else to try, after which it is taken to be the cartridge.
const TIMES_MAX: u32 = 3;
/// Bounds the memory: the oldest charge is dropped.
const CHARGES_MAX: usize = 1_000;

/// Who was found to be at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Cartridge,
    Drive,
}

/// Failures that nobody is known to be at fault for.
#[derive(Debug, Default)]
pub(crate) struct Charges(Vec<Charge>);

#[derive(Debug)]
struct Charge {
    drive: String,
    barcode: Barcode,
    times: u32,
    /// The drive has worked with another cartridge since.
    drive_cleared: bool,
    /// The cartridge has worked in another drive since.
    cartridge_cleared: bool,
}

impl Charges {
    /// Something failed. Who is at fault, when that is known by now; it is not charged any more then.
    pub(crate) fn failed(&mut self, drive: &str, barcode: &Barcode) -> Option<Verdict> {
        let found = self.0.iter().find_map(|charge| charge.verdict(drive, barcode));
        match found {
            Some(Verdict::Cartridge) => self.0.retain(|charge| charge.barcode != *barcode),
            Some(Verdict::Drive) => self.forgive_drive(drive),
            None => self.add(drive, barcode),
        }
        found
    }

    fn add(&mut self, drive: &str, barcode: &Barcode) {
        if let Some(known) = self.0.iter_mut().find(|charge| charge.is_of(drive, barcode)) {
            known.times += 1;
            return;
        }
        if self.0.len() >= CHARGES_MAX {
            self.0.remove(0);
        }
        let (drive, barcode) = (drive.to_owned(), barcode.clone());
        self.0.push(Charge { drive, barcode, times: 1, drive_cleared: false, cartridge_cleared: false });
    }

    /// Something worked: this drive and this cartridge are not to blame for what they failed at with others.
    pub(crate) fn worked(&mut self, drive: &str, barcode: &Barcode) {
        self.0.retain(|charge| !charge.is_of(drive, barcode));
        for charge in &mut self.0 {
            charge.drive_cleared |= charge.drive == drive;
            charge.cartridge_cleared |= charge.barcode == *barcode;
        }
        // It passed.
        self.0.retain(|charge| !(charge.drive_cleared && charge.cartridge_cleared));
    }

    /// Somebody has looked at the drive.
    pub(crate) fn forgive_drive(&mut self, drive: &str) {
        self.0.retain(|charge| charge.drive != drive);
    }

    /// Whether the cartridge has failed in this drive: another one tells more.
    pub(crate) fn stands(&self, drive: &str, barcode: &Barcode) -> bool {
        self.0.iter().any(|charge| charge.is_of(drive, barcode))
    }
}

impl Charge {
    fn is_of(&self, drive: &str, barcode: &Barcode) -> bool {
        self.drive == drive && self.barcode == *barcode
    }

    /// What follows from this charge when these two fail together.
    fn verdict(&self, drive: &str, barcode: &Barcode) -> Option<Verdict> {
        match (self.drive == drive, self.barcode == *barcode) {
            (false, true) if !self.cartridge_cleared => Some(Verdict::Cartridge),
            (true, false) if !self.drive_cleared => Some(Verdict::Drive),
            (true, true) if self.drive_cleared || self.times + 1 >= TIMES_MAX => Some(Verdict::Cartridge),
            (true, true) if self.cartridge_cleared => Some(Verdict::Drive),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Verdict::{Cartridge, Drive};

    /// `-a1` fails: cartridge a in drive 1; `+a1` works. What the last of them says.
    fn play(events: &str) -> Option<Verdict> {
        let mut charges = Charges::default();
        let mut last = None;
        for event in events.split(' ') {
            let (sign, rest) = event.split_at(1);
            let (name, drive) = rest.split_at(1);
            let barcode = Barcode::parse(&format!("{}00001L9", name.to_uppercase())).unwrap();
            match sign {
                "-" => last = charges.failed(drive, &barcode),
                _ => charges.worked(drive, &barcode),
            }
        }
        last
    }

    #[test]
    fn two_of_three() {
        for (events, verdict) in [
            ("-a1", None),
            ("-a1 -a2", Some(Cartridge)),
            ("-a1 -b1", Some(Drive)),
            ("-a1 -b2", None),
            // The drive is well, or the cartridge is.
            ("-a1 +b1 -a1", Some(Cartridge)),
            ("-a1 +a2 -a1", Some(Drive)),
            ("-a1 +a2 -a2", None),
            ("-a1 +b1 -b1", None),
            // It has passed.
            ("-a1 +a1 -a2", None),
            ("-a1 +a1 -b1", None),
            ("-a1 +b1 +a2 -a1", None),
            // Nothing else to try.
            ("-a1 -a1", None),
            ("-a1 -a1 -a1", Some(Cartridge)),
            // Once found it is not held against the other.
            ("-a1 -a2 -b1", None),
            ("-a1 -b1 -a2", None),
        ] {
            assert_eq!(play(events), verdict, "{events}");
        }
    }
}
