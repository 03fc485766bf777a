//! Plays steps on a world and compares it with the oracle after each.

use std::sync::{Arc, Mutex};

use library::{AppendError, Appending, DriveTape, Error, MountReport, Mounted, Remedy, WorkEnd};
use volume::ltfs::{Appender, FileAttributes, open_at_end};

use crate::images::{Image, explain};
use crate::script::{End, Step};
use crate::world::{FOREIGN, Spooled, World};

/// Tries of what may fail once for what happened before.
const TRIES: usize = 3;

/// Plays one step, and compares the volumes that it was about.
pub fn play(world: &mut World, step: &Step) {
    let mut about: Vec<usize> = (0..world.volumes.len()).collect();
    match step {
        Step::Append { volume, groups, end, unload } => {
            let after = if *unload { WorkEnd::Unload } else { WorkEnd::Keep };
            append(world, *volume, groups, *end, after);
            about = vec![*volume];
        }
        Step::Failing { volume, groups, fault, skip } => {
            for fault in fault.faults(*skip) {
                world.machine.faults().inject(fault);
            }
            let well = append(world, *volume, groups, End::Committed, WorkEnd::Keep);
            world.settle();
            if !well {
                world.take_image(*volume);
            }
            about = vec![*volume];
        }
        Step::Read { volume } => about = vec![*volume],
        Step::Restart { orderly } => world.restart(*orderly),
        Step::PowerCut => {
            world.library().quiesce(std::time::Duration::from_secs(60)).unwrap();
            world.machine.cut_power().unwrap();
            (0..world.volumes.len()).for_each(|volume| world.take_image(volume));
        }
        Step::Swap => swap(world),
        Step::Foreign { volume } => foreign(world, *volume),
    }
    world.settle();
    about.into_iter().for_each(|volume| check(world, volume));
}

/// At the end every volume that is ours alone takes more, and a stranger reads all of them.
pub fn finish(world: &mut World) {
    for volume in 0..world.volumes.len() {
        let mut append = || append(world, volume, &[vec![1]], End::Committed, WorkEnd::Unload);
        let taken = (0..TRIES).any(|_| append());
        assert!(taken || world.volumes[volume].foreign, "volume {volume} takes no more");
        check(world, volume);
    }
    world.restart(true);
    let volumes = 0..world.volumes.len();
    for volume in volumes.filter(|volume| !world.volumes[*volume].foreign) {
        world.library().quiesce(std::time::Duration::from_secs(60)).unwrap();
        let (folder, volume) = (world.folder(volume), &world.volumes[volume]);
        let committed = volume.committed.keys().copied().collect();
        world.images.push(Image { folder, committed, doubtful: Vec::new(), crashed: false });
    }
}

/// One mount for writing. Whether it went well.
fn append(world: &mut World, volume: usize, groups: &[Vec<u64>], end: End, after: WorkEnd) -> bool {
    let groups: Vec<Vec<Spooled>> =
        groups.iter().map(|group| group.iter().map(|bytes| world.spool(*bytes)).collect()).collect();
    let told = Arc::new(Mutex::new(Told::default()));
    let (heard, foreign) = (told.clone(), world.volumes[volume].foreign);
    let result = world.append(volume, move |mounted| {
        assert!(!foreign, "the fence let a cartridge through that somebody else wrote to");
        work(mounted, &groups, end, &heard);
        after
    });
    let told = std::mem::take(&mut *told.lock().unwrap());
    learn(world, volume, told, result)
}

/// What the work did, as it was told while it did it.
#[derive(Default)]
struct Told {
    /// What was found of groups in doubt at the mount.
    listed: Option<Vec<u64>>,
    committed: Vec<Vec<u64>>,
    /// Committed, without an answer yet.
    asked: Vec<u64>,
}

fn work(mounted: &mut Mounted<Appending>, groups: &[Vec<Spooled>], end: End, told: &Mutex<Told>) {
    let listed = mounted.packs().iter().map(|pack| crate::world::number(&pack.id)).collect();
    told.lock().unwrap().listed = Some(listed);
    for (at, group) in groups.iter().enumerate() {
        let mut appended = Vec::new();
        for pack in group {
            match pack.append(mounted) {
                Ok(()) => appended.push(pack.n),
                Err(AppendError::Full) => {}
                Err(AppendError::Tape(_)) => return,
                Err(error) => panic!("{error:?}"),
            }
        }
        let last = at + 1 == groups.len();
        match end {
            End::Uncommitted if last => return,
            End::Death if last => panic!("the process dies here"),
            _ => {}
        }
        told.lock().unwrap().asked = appended.clone();
        if mounted.commit().is_err() {
            return;
        }
        let mut told = told.lock().unwrap();
        told.committed.push(appended);
        told.asked.clear();
    }
}

/// The oracle takes note of what was acknowledged; the row of what a catalog would.
fn learn(world: &mut World, volume: usize, told: Told, result: Result<MountReport, Error>) -> bool {
    let known = &mut world.volumes[volume];
    if let Some(mut listed) = told.listed {
        listed.sort_unstable();
        let committed: Vec<u64> = known.committed.keys().copied().collect();
        explain(&committed, &known.doubtful, &listed);
        known.doubtful.clear();
        known.committed.extend(listed.into_iter().filter(|n| !committed.contains(n)).map(|n| (n, None)));
    }
    known.committed.extend(told.committed.into_iter().flatten().map(|n| (n, None)));
    match result {
        Ok(report) => {
            known.row.generation = report.generation;
            known.row.eod_block = report.eod_block;
            known.row.end = library::End::Clean;
            true
        }
        Err(error @ Error::Fault) => panic!("{error:?}"),
        // What a catalog knows of it is from before the stranger.
        Err(_) if known.foreign => false,
        Err(_) => {
            known.row.end = library::End::Unclean;
            if !told.asked.is_empty() {
                known.doubtful.push(told.asked);
            }
            false
        }
    }
}

/// Reads a volume and compares it: everything committed is there, where it was, and nothing else. What was in doubt is
/// not any more.
fn check(world: &mut World, volume: usize) {
    let found = read(world, volume);
    let known = &mut world.volumes[volume];
    let committed: Vec<u64> = known.committed.keys().copied().collect();
    let mut numbers: Vec<u64> = found.iter().map(|(n, _)| *n).collect();
    numbers.sort_unstable();
    explain(&committed, &known.doubtful, &numbers);
    known.doubtful.clear();
    for (n, start) in found {
        let place = known.committed.entry(n).or_default();
        assert_eq!(*place.get_or_insert(start), start, "pack {n:x} has moved");
    }
}

/// Tries again where the library says that it helps: a drive tells once of everything that happened to it.
fn read(world: &World, volume: usize) -> Vec<(u64, u64)> {
    let mut read = world.read(volume);
    for _ in 1..TRIES {
        match &read {
            Err(error) if error.remedy() == Remedy::Retry => {
                world.settle();
                read = world.read(volume);
            }
            _ => break,
        }
    }
    read.unwrap_or_else(|error| panic!("volume {volume} cannot be read: {error:?}"))
}

/// Two labels change places; nothing is written or read under the wrong one.
fn swap(world: &mut World) {
    world.restart(true);
    let (one, other) = (world.name(0), world.name(1));
    world.machine.swap_barcodes(&one, &other).unwrap();
    for volume in 0..2 {
        let refused = world.append(volume, |_| panic!("the fence let a swapped cartridge through"));
        assert!(matches!(refused, Err(Error::Fence { .. })), "{refused:?}");
        assert!(matches!(world.read(volume), Err(Error::Fence { .. })));
    }
    world.restart(true);
    world.machine.swap_barcodes(&one, &other).unwrap();
}

/// Another program, which passes no fence, puts a file on the volume.
fn foreign(world: &mut World, volume: usize) {
    if world.volumes[volume].foreign || world.volumes[volume].row.end != library::End::Clean {
        return;
    }
    world.restart(true);
    let drive = virtual_library::open_cartridge_writable(&world.folder(volume)).unwrap();
    let mut tape = DriveTape::ready(drive, std::time::Duration::ZERO).unwrap();
    let (found, tail) = open_at_end(&mut tape).unwrap();
    let mut appender = Appender::begin(&mut tape, found, tail).unwrap();
    let name = format!("{FOREIGN}.tar.zst");
    let attributes = FileAttributes::default();
    match appender.append_file(&mut tape, ("packs", &name), &mut &b"theirs"[..], 6, attributes) {
        Ok(_) => {}
        Err(volume::ltfs::Error::Full) => return,
        Err(error) => panic!("{error:?}"),
    }
    appender.close(&mut tape).unwrap();
    world.volumes[volume].foreign = true;
}
