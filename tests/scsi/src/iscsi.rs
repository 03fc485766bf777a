//! Units behind an iSCSI target.

use scsi::Transport;
use scsi::conformance::{Bench, Setup};
use scsi::iscsi::Iscsi;

use crate::library::Library;

pub struct Units {
    library: Library,
    portal: String,
    target: String,
}

impl Units {
    pub fn of(library: Library, portal: &str, target: &str) -> Self {
        Self { library, portal: portal.to_owned(), target: target.to_owned() }
    }

    fn path(&self, unit: i32) -> Box<dyn Transport> {
        Box::new(Iscsi::connect(&self.portal, &self.target, unit).unwrap())
    }
}

impl Bench for Units {
    fn setup(&self) -> Setup {
        self.library.setup(&[])
    }

    fn changer(&mut self) -> Box<dyn Transport> {
        self.path(self.library.changer.unit)
    }

    fn drive(&mut self, serial: &str) -> Box<dyn Transport> {
        self.path(self.library.drives.iter().find(|drive| drive.serial == serial).unwrap().unit)
    }
}
