//! The suite that every library has to pass, on this one.
#![allow(clippy::unwrap_used)]

mod host;

use host::MIB;
use scsi::Transport;
use scsi::conformance::{Bench, Setup, run};
use virtual_library::{Barcode, VirtualLibrary};

struct InFiles(VirtualLibrary);

impl Bench for InFiles {
    fn setup(&self) -> Setup {
        Setup {
            changer: self.0.changer_serial(),
            drives: vec![self.0.drive_serial(0), self.0.drive_serial(1)],
            slots: 6,
            mail_slots: 2,
            barcodes: (1..=5).map(|number| format!("TG{number:04}L9")).collect(),
            cartridge_bytes: 32 * MIB,
            differences: Vec::new(),
        }
    }

    fn changer(&mut self) -> Box<dyn Transport> {
        self.0.changer_transport()
    }

    fn drive(&mut self, serial: &str) -> Box<dyn Transport> {
        let index = (0..self.0.drive_count()).find(|&index| self.0.drive_serial(index) == serial);
        self.0.drive_transport(index.unwrap())
    }

    fn write_protect(&mut self, barcode: &str, protected: bool) {
        self.0.write_protect(&Barcode::parse(barcode).unwrap(), protected).unwrap();
    }
}

#[test]
fn the_library_in_files_does_what_every_library_must() {
    let dir = host::folder_in_memory();
    let library = VirtualLibrary::open(dir.path(), host::geometry(32 * MIB)).unwrap();
    let cases = run(&mut InFiles(library), &mut |case| println!("{case}"));
    assert!(cases > 20, "only {cases} cases");
}
