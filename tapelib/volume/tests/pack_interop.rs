//! Packs read by GNU tar and zstd, which know nothing of us.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{ODD_KEYS, data, member, pack, pack_id};
use volume::pack::{Member, Segment, manifest_name, member_name};

/// Runs a program that must be installed, and must have nothing to say on stderr.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{:?} is needed by this test and could not be started: {error}", command.get_program())
    });
    let said = String::from_utf8_lossy(&output.stderr);
    // A file system without extended attributes is no fault of the pack; zstd greets when it is asked for details.
    let harmless = |line: &str| {
        line.is_empty() || line.ends_with(": Operation not supported") || line.starts_with("*** Zstandard")
    };
    assert!(output.status.success() && said.lines().all(harmless), "{command:?}: {said}");
    output
}

/// Odd keys twice (two versions of each), long ones, segments, and a member larger than a frame.
fn contents() -> Vec<(Member, Vec<u8>)> {
    let long = ["k".repeat(1_024), format!("{}./x", "a".repeat(254)), format!("{}/f", "\u{1}".repeat(1_020))];
    let keys = ODD_KEYS.iter().map(ToString::to_string).chain(long);
    let keys: Vec<String> = keys.flat_map(|key| [key.clone(), key]).collect();
    let mut contents: Vec<(Member, Vec<u8>)> = keys
        .iter()
        .zip(0..)
        .map(|(key, n)| (member(n, key, n as u64 * 37), data(n as u64, n as usize * 37)))
        .collect();
    for index in 1..=2 {
        let mut part = member(900, "segmented", 1_000);
        part.record.size = 2_000;
        part.segment = Some(Segment { index, count: 2 });
        contents.push((part, data(u64::from(index), 1_000)));
    }
    contents.push((member(901, "larger than a frame", 9 << 20), data(3, 9 << 20)));
    contents
}

fn files_below(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { assert!(found.insert(path)) }
    }
}

#[test]
fn gnu_tar_extracts_every_member_without_a_word() {
    let contents = contents();
    let (bytes, summary) = pack(&contents, 2);
    for (locale, extra) in [("C", "--no-xattrs"), ("C.UTF-8", "--no-xattrs"), ("C.UTF-8", "--xattrs")] {
        let room = tempfile::tempdir().unwrap();
        let (file, out) = (room.path().join("pack.tar.zst"), room.path().join("out"));
        std::fs::write(&file, &bytes).unwrap();
        std::fs::create_dir(&out).unwrap();
        run(Command::new("tar")
            .args(["--zstd", "-xf"])
            .arg(&file)
            .arg("-C")
            .arg(&out)
            .arg(extra)
            .arg("--keep-old-files")
            .env("LC_ALL", locale));
        let mut expected = BTreeSet::from([out.join(manifest_name(pack_id()))]);
        for (member, data) in &contents {
            let path = out.join(member_name("bucket", &member.record.key, member.id, member.segment));
            assert!(std::fs::read(&path).unwrap() == *data, "{path:?}");
            assert!(expected.insert(path));
        }
        let mut found = BTreeSet::new();
        files_below(&out, &mut found);
        assert_eq!(found, expected);
        let manifest = std::fs::read(out.join(manifest_name(pack_id()))).unwrap();
        assert!(manifest == zstd::stream::decode_all(summary.manifest.as_slice()).unwrap());
    }
}

#[test]
fn gnu_tar_lists_key_and_record_as_attributes() {
    let (bytes, _) = pack(&[(member(1, "key", 5), data(1, 5))], 1);
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("pack.tar.zst");
    std::fs::write(&file, &bytes).unwrap();
    let listed = run(Command::new("tar").args(["--zstd", "--xattrs", "-tvvf"]).arg(&file));
    let listed = String::from_utf8(listed.stdout).unwrap();
    for attribute in ["x: 3 user.tapegate.key", "user.tapegate.record", "x: 26 user.tapegate.id"] {
        assert!(listed.contains(attribute), "{listed}");
    }
}

#[test]
fn zstd_knows_every_frame_and_finds_it_whole() {
    let (bytes, summary) = pack(&contents(), 2);
    let room = tempfile::tempdir().unwrap();
    let file = room.path().join("pack.tar.zst");
    std::fs::write(&file, &bytes).unwrap();
    run(Command::new("zstd").arg("-tq").arg(&file));
    let listed = run(Command::new("zstd").arg("-lv").arg(&file));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&format!("# Zstandard Frames: {}", summary.frames)), "{listed}");
    assert!(listed.contains("# Skippable Frames: 2") && listed.contains("Check: XXH64"), "{listed}");
}
