//! The conformance suite on libraries that others wrote. See the README beside this crate.
#![allow(clippy::unwrap_used)] // a test: whatever goes wrong ends it

#[cfg(feature = "iscsi")]
mod iscsi;
mod library;
mod sg;

use std::process::ExitCode;

use scsi::conformance::{Bench, run};

use library::Library;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["suite", "sg", library] => suite(&mut sg::Units::of(Library::load(library))),
        #[cfg(feature = "iscsi")]
        ["suite", "iscsi", library, portal, target] => {
            suite(&mut iscsi::Units::of(Library::load(library), portal, target));
        }
        ["list"] => sg::list(),
        ["read", drive, file, block_bytes] => sg::read(drive, file, block_bytes.parse().unwrap()),
        ["write", drive, file, block_bytes] => sg::write(drive, file, block_bytes.parse().unwrap()),
        _ => {
            eprintln!("wrong arguments; see the README");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn suite(bench: &mut dyn Bench) {
    let cases = run(bench, &mut |case| println!("case {case}"));
    println!("{cases} cases passed");
}
