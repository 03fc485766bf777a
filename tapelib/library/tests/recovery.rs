//! The power fails at every single command of a cartridge's life: while it is labelled, mounted, written, indexed on both
//! partitions, and let go. What was committed is there, nothing else is, and the volume takes more.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod host;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::{Host, Row, identity, remember, row};
use library::{Barcode, End, Error, Overwrite, WorkEnd};
use virtual_library::{Effect, Fault, Unit};

/// What the work was told to be durable: packs, generation, end of data.
type Told = Arc<Mutex<(Vec<usize>, u64, u64)>>;

#[test]
fn the_power_fails_before_every_command() {
    assert!(fail_everywhere(Effect::PowerCut) > 100);
}

#[test]
fn the_power_fails_after_every_command() {
    assert!(fail_everywhere(Effect::PowerCutAfter) > 100);
}

/// Lives a life for every command in it; counts them.
fn fail_everywhere(effect: Effect) -> u32 {
    for skip in 0.. {
        let host = Host::new(1);
        host.machine.faults().inject(Fault { unit: Unit::Drive(0), opcode: None, skip, times: 1, effect });
        if !live(&host, skip) {
            return skip;
        }
    }
    unreachable!("the loop ends when a life has no more commands")
}

/// Whether the power failed in it.
fn live(host: &Host, skip: u32) -> bool {
    let barcode = host.barcode(0);
    let mut volume = label(host, &barcode);
    let told: Told = Arc::new(Mutex::new((Vec::new(), volume.generation, volume.eod_block)));
    match write(host, &barcode, &volume, &told) {
        Ok(report) => remember(&mut volume, &report),
        Err(_) => {
            let told = told.lock().unwrap();
            (volume.generation, volume.eod_block, volume.end) = (told.1, told.2, End::Unclean);
        }
    }
    let failed = host.machine.faults().pending() == 0;
    host.machine.faults().clear();
    repair(host);
    let mut committed = told.lock().unwrap().0.clone();
    // A drive tells once of what happened to it.
    let found = host.packs(&barcode, &volume).or_else(|_| host.packs(&barcode, &volume)).unwrap();
    // An index whose closing filemark reached the tape counts although nobody was told.
    let doubtful = if committed.is_empty() { vec![0, 1] } else { vec![0, 1, 2] };
    assert!(found == committed || found == doubtful, "cut at {skip}: {found:?}, committed {committed:?}");
    committed = found;
    host.append(&barcode, &mut volume, &[3]).unwrap();
    committed.push(3);
    assert_eq!(host.packs(&barcode, &volume).unwrap(), committed, "cut at {skip}");
    host.library.shutdown(Duration::from_secs(60)).unwrap();
    failed
}

/// Two packs, a commit; a pack, a journal, a commit; and the cartridge is put away.
fn write(host: &Host, barcode: &Barcode, volume: &Row, told: &Told) -> Result<library::MountReport, Error> {
    let packs = [host.spool(0), host.spool(1), host.spool(2)];
    let told = told.clone();
    let written = host.append_with(barcode, volume, move |mounted| {
        let mut work = || -> Result<(), library::AppendError> {
            packs[0].append(mounted)?;
            packs[1].append(mounted)?;
            let commit = mounted.commit()?;
            *told.lock().unwrap() = (vec![0, 1], commit.generation, commit.eod_block);
            packs[2].append(mounted)?;
            mounted.append_journal(&[])?;
            let commit = mounted.commit()?;
            *told.lock().unwrap() = (vec![0, 1, 2], commit.generation, commit.eod_block);
            Ok(())
        };
        drop(work());
        WorkEnd::Unload
    });
    host.library.quiesce(Duration::from_secs(60)).unwrap();
    written
}

/// Labelling that was cut short is begun again; one that was finished, though nobody was told, names its volume.
fn label(host: &Host, barcode: &Barcode) -> Row {
    let mut overwrite = Overwrite::Never;
    for _ in 0..3 {
        match host.library.label(barcode, identity(1), overwrite) {
            Ok(labelled) => return row(&labelled),
            Err(Error::NotBlank { found: Some(uuid), .. }) => overwrite = Overwrite::Volume(uuid),
            Err(Error::NotBlank { found: None, .. }) => panic!("taken for a foreign cartridge"),
            Err(_) => repair(host),
        }
    }
    panic!("it cannot be labelled")
}

/// Somebody looks at the drive and brings it up.
fn repair(host: &Host) {
    host.library.quiesce(Duration::from_secs(60)).unwrap();
    for drive in host.library.drives() {
        host.library.drive_up(&drive.serial).unwrap();
    }
}
