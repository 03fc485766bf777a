//! The reader is a judge only if it refuses: every damage below to a good cartridge must be named.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::fs;
use std::path::Path;

use library::WorkEnd;
use support::packs::{data, member, spool};
use support::{Shelf, copy, judge, python, refusal, run};

/// What is done to a directory, and what the reader must say of it.
type Damage = (&'static str, fn(&Path), &'static str);

const DAMAGES: &[Damage] = &[
    ("no end of data", |dir| remove(dir, &last(dir, 1)), "end of data is missing"),
    ("a gap", |dir| remove(dir, "1_7_R"), "gaps"),
    ("a stranger's file", |dir| write(dir, "1_x_R", b"x"), "no file of a cartridge"),
    ("bytes in a filemark", |dir| write(dir, "0_1_F", b"x"), "bytes in a mark"),
    ("another label version", |dir| patch(dir, "0_0_R", |block| block[79] = b'3'), "VOL1 bytes 79"),
    ("an open label", |dir| patch(dir, "1_0_R", |block| block[10] = b' '), "VOL1 bytes 10"),
    (
        "labels that differ",
        |dir| replace(dir, "0_2_R", "<blocksize>524288", "<blocksize>524287"),
        "labels differ",
    ),
    (
        "swapped partitions",
        |dir| replace(dir, "0_2_R", "<partition>a", "<partition>b"),
        "not the index partition",
    ),
    ("another volume's index", |dir| replace(dir, "1_5_R", "-8123-", "-8124-"), "is of volume"),
    ("a wrong location", |dir| replace(dir, "1_5_R", "<startblock>5", "<startblock>6"), "says it is at"),
    ("a wrong generation", |dir| replace(dir, "1_5_R", "number>1<", "number>2<"), "generation 2"),
    ("a broken back pointer", |dir| newest(dir, "<startblock>5<", "<startblock>4<"), "points back to"),
    ("a fileuid twice", |dir| newest(dir, "<fileuid>2<", "<fileuid>1<"), "fileuid 1 is that of"),
    (
        "highestfileuid too low",
        |dir| newest(dir, "<highestfileuid>6<", "<highestfileuid>3<"),
        "above highest",
    ),
    ("an extent too far", |dir| newest(dir, "<startblock>7<", "<startblock>900<"), "where its"),
    ("an extent too long", |dir| newest(dir, "<fileoffset>0<", "<fileoffset>9999999<"), "beyond its length"),
    (
        "a short block inside",
        |dir| patch(dir, "1_7_R", |block| block.truncate(9)),
        "short block that is not the last",
    ),
    (
        "a last block too short",
        |dir| patch(dir, "1_9_R", |block| block.truncate(9)),
        "its last block has 9 bytes",
    ),
    ("bad time", |dir| newest(dir, "<backuptime>2", "<backuptime>x2"), "is no time"),
    ("an old index partition", |dir| replace(dir, "0_5_R", "number>2<", "number>1<"), "no copy"),
    (
        "an index partition with other files",
        |dir| replace(dir, "0_5_R", ".manifest<", ".manifest2<"),
        "no copy",
    ),
    (
        "coherency of another generation",
        |dir| patch(dir, "attr_1_80c", |bytes| bytes[5 + 16] ^= 1),
        "partition 1: generation",
    ),
    ("coherency out of date", |dir| patch(dir, "attr_0_80c", |bytes| bytes[5 + 8] ^= 1), "out of date"),
    ("coherency of another volume", |dir| patch(dir, "attr_0_80c", |bytes| bytes[5 + 40] ^= 1), "volume"),
    ("no coherency", |dir| remove(dir, "attr_1_80c"), "missing, or not 70 bytes"),
    ("another format version", |dir| patch(dir, "attr_0_80b", |bytes| bytes[5] = b'1'), "format version"),
    ("a flipped bit in a pack", |dir| patch(dir, "1_8_R", |block| block[1000] ^= 1), "digest of /packs/"),
];

#[test]
fn every_damage_is_named() {
    let mut shelf = Shelf::new();
    let pack = spool(shelf.dir.path(), 1, vec![member(1, "key", data(1, 1_100_000))]);
    let report = shelf.append(move |mounted| {
        pack.append(mounted).unwrap();
        mounted.append_journal(&[pack.entry()]).unwrap();
        mounted.commit().unwrap();
        WorkEnd::Unload
    });
    report.unwrap();
    let good = shelf.export("good");
    judge(&good, &["--packs"]);
    for (damage, make, reason) in DAMAGES {
        let bad = tempfile::tempdir().unwrap();
        copy(&good, bad.path());
        make(bad.path());
        let said = refusal(bad.path(), &["--packs"]);
        assert!(said.contains(reason), "{damage}: {said}");
    }
}

#[test]
fn digests_of_the_reader_are_those_of_blake3() {
    let dir = tempfile::tempdir().unwrap();
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("reader");
    let program = "import sys; from blake3_plain import blake3\nfor path in sys.argv[1:]: print(blake3(open(path, 'rb').read()).hex())";
    let mut command = python();
    command.args(["-c", program]).env("PYTHONPATH", reader);
    let mut expected = String::new();
    for length in
        [0, 1, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 5 * 1024 + 7, 64 * 1024, 1_100_000, 1 << 21]
    {
        let path = dir.path().join(length.to_string());
        let bytes = data(1, length);
        fs::write(&path, &bytes).unwrap();
        expected.push_str(&format!("{}\n", blake3::hash(&bytes).to_hex()));
        command.arg(path);
    }
    let output = run(&mut command);
    assert_eq!(
        (String::from_utf8_lossy(&output.stderr).as_ref(), String::from_utf8_lossy(&output.stdout).as_ref()),
        ("", expected.as_str())
    );
}

fn remove(dir: &Path, name: &str) {
    fs::remove_file(dir.join(name)).unwrap();
}

fn write(dir: &Path, name: &str, bytes: &[u8]) {
    fs::write(dir.join(name), bytes).unwrap();
}

fn patch(dir: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(dir.join(name)).unwrap();
    change(&mut bytes);
    write(dir, name, &bytes);
}

fn replace(dir: &Path, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(dir.join(name)).unwrap();
    assert!(text.contains(from), "{name} has no {from}:\n{text}");
    fs::write(dir.join(name), text.replacen(from, to, 1)).unwrap();
}

/// Changes the newest index in the data partition.
fn newest(dir: &Path, from: &str, to: &str) {
    let end: u64 = last(dir, 1).split('_').nth(1).unwrap().parse().unwrap();
    replace(dir, &format!("1_{}_R", end - 2), from, to);
}

/// Name of the file that marks the end of data.
fn last(dir: &Path, partition: u8) -> String {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.into_iter().find(|name| name.starts_with(&format!("{partition}_")) && name.ends_with("_E")).unwrap()
}
