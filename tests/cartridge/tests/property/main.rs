//! Random mixes of packs, commit groups, power cuts, faults of devices, dying processes, remounts, swapped labels and
//! foreign writers: exactly what was committed reads back, and a stranger agrees after every crash.
//!
//! `TAPEGATE_ROUNDS` of 1000 or more plays 10 000 cases; `TAPEGATE_SEED` replays one.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod images;
mod play;
mod random;
mod script;
#[path = "../support/mod.rs"]
#[allow(unused)] // shared with other tests
mod support;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};

use random::Random;
use world::World;

const CASES: u64 = 300;
const CASES_LONG: u64 = 10_000;
/// One crash of so many is shown to the stranger where time is short.
const SAMPLE: u64 = 12;
/// Cartridges that the stranger reads at once.
const BATCH: usize = 32;
const MIB: u64 = 1 << 20;

/// Cases run side by side, and a program is started only while none does: until it runs, it holds every file that was
/// open here, and with them the locks on cartridges that drives have let go.
static RUNNING: RwLock<()> = RwLock::new(());

#[test]
fn exactly_what_was_committed_reads_back() {
    std::panic::set_hook(Box::new(|_| {})); // processes die by the thousand here
    if let Some(seed) = number("TAPEGATE_SEED") {
        let _hook = std::panic::take_hook();
        let (world, steps) = case(seed, true);
        println!("{steps:#?}");
        images::judge(&world.images);
        return;
    }
    let long = number("TAPEGATE_ROUNDS").is_some_and(|rounds| rounds >= 1000);
    let (cases, first) = if long { (CASES_LONG, now()) } else { (CASES, 0) };
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(first, cases, &next, long))).collect();
        for worker in workers {
            if let Err(failed) = worker.join() {
                let _hook = std::panic::take_hook();
                std::panic::resume_unwind(failed);
            }
        }
    });
}

/// Plays cases until all are played.
fn work(first: u64, cases: u64, next: &AtomicU64, long: bool) {
    let mut shown: Vec<(u64, World)> = Vec::new();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        if at >= cases {
            return show(&shown);
        }
        let seed = first + at;
        let (world, _) = told(seed, || case(seed, long));
        shown.push((seed, world));
        if shown.iter().map(|(_, world)| world.images.len()).sum::<usize>() >= BATCH || shown.len() >= BATCH {
            show(&std::mem::take(&mut shown));
        }
    }
}

fn show(cases: &[(u64, World)]) {
    let together = || cases.iter().flat_map(|(_, world)| &world.images);
    let well = catch_unwind(AssertUnwindSafe(|| images::judge(together())));
    if well.is_err() {
        // One by one, to know which.
        cases.iter().for_each(|(seed, world)| told(*seed, || images::judge(&world.images)));
    }
}

/// Names the command that plays a failing case again.
fn told<T>(seed: u64, case: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(case)).unwrap_or_else(|failed| {
        let text = failed.downcast_ref::<String>().map_or("", String::as_str);
        let told =
            format!("{text}\nreplay: TAPEGATE_SEED={seed} cargo test -p cartridge-tests --test property");
        // The hook that would tell it is silent.
        eprintln!("{told}");
        panic!("{told}")
    })
}

/// Plays the case of a seed; keeps the cartridges that the stranger shall see.
fn case(seed: u64, all: bool) -> (World, Vec<script::Step>) {
    let _running = RUNNING.read();
    let mut random = Random::new(seed);
    let cartridge_bytes = *random.of(&[40 * MIB, 400 * MIB]);
    let mut world = World::new(cartridge_bytes);
    let steps = script::script(&mut random, world.volumes.len());
    steps.iter().for_each(|step| play::play(&mut world, step));
    play::finish(&mut world);
    world.images.retain(|_| all || random.once_in(SAMPLE));
    world.library = None;
    (world, steps)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Other cases every time.
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs() << 20
}
