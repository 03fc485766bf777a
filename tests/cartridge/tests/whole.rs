//! A cartridge that was written and unloaded in order: a stranger finds every file, every byte, every member.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use library::WorkEnd;
use serde_json::{Value, json};
use support::packs::{Pack, data, member, odd_members, spool};
use support::{CATALOG, Shelf, VOLUME, judge, packs_in, run};
use volume::journal::Entry;

/// Three mounts and five commit groups: odd names, many small members, one that does not compress, an empty commit,
/// journals with every event.
fn written() -> (Shelf, Arc<Vec<Pack>>) {
    let mut shelf = Shelf::new();
    let dir = shelf.dir.path();
    let small = (0..300).map(|n| member(5_000 + n, &format!("small/{n}"), data(n as u64, n as usize)));
    let mut old = member(8_002, "before 1970", vec![1]);
    old.0.record.last_modified_ms = -5;
    let packs = Arc::new(vec![
        spool(dir, 1, odd_members()),
        spool(dir, 2, small.collect()),
        spool(dir, 3, vec![member(7_000, "incompressible", data(1, 3 << 20))]),
        spool(dir, 4, vec![member(8_000, "one", data(2, 10)), member(8_001, "empty", vec![]), old]),
    ]);
    let of = packs.clone();
    let report = shelf.append(move |mounted| {
        of[0].append(mounted).unwrap();
        assert_eq!(mounted.append_journal(&[of[0].entry()]).unwrap(), 1);
        mounted.commit().unwrap();
        of[1].append(mounted).unwrap();
        of[2].append(mounted).unwrap();
        mounted.commit().unwrap();
        mounted.commit().unwrap();
        WorkEnd::Keep
    });
    assert_eq!(report.unwrap().generation, 3);
    shelf.append(|_| WorkEnd::Keep).unwrap();
    let of = packs.clone();
    let report = shelf.append(move |mounted| {
        mounted.append_journal(&events()).unwrap();
        mounted.commit().unwrap();
        of[3].append(mounted).unwrap();
        mounted.append_journal(&[]).unwrap();
        mounted.commit().unwrap();
        WorkEnd::Unload
    });
    assert_eq!(report.unwrap().generation, 5);
    (shelf, packs)
}

fn events() -> Vec<Entry> {
    vec![
        Entry::ArchiveDead { archive: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into() },
        Entry::RecordChanged {
            at_ms: -5,
            archive: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into(),
            record: "{\"a\":\"\u{1}é\"}".into(),
        },
        Entry::DeadBlocks { first: u64::MAX - 1, end: u64::MAX },
    ]
}

#[test]
fn a_stranger_finds_every_file_and_every_byte() {
    let (shelf, packs) = written();
    let tape = shelf.export("tape");
    let out = shelf.dir.path().join("out");
    let report = judge(&tape, &["--packs".as_ref(), "--extract".as_ref(), out.as_os_str()]);

    assert_eq!(report["uuid"], uuid_text(VOLUME));
    assert_eq!(report["attributes"], json!({ "tapegate.catalog": uuid_text(CATALOG) }));
    assert_eq!(report["name"], "archive & <more> 1");
    assert_eq!(report["serial"], shelf.barcode.as_str()[..6]);
    assert_eq!(report["generations"], json!([1, 2, 3, 4, 5]));
    assert_eq!(report["index_partition_generation"], 5);
    assert_eq!((&report["unlisted"], &report["tail"]), (&json!([]), &json!(0)));
    assert_eq!(report["end"], shelf.row.eod_block);
    assert_eq!(packs_in(&report), packs.iter().map(|pack| pack.id.clone()).collect::<Vec<_>>());

    for pack in packs.iter() {
        let stem = out.join("packs").join(&pack.id);
        assert!(fs::read(stem.with_extension("tar.zst")).unwrap() == fs::read(&pack.path).unwrap());
        assert!(fs::read(stem.with_extension("manifest")).unwrap() == pack.summary.manifest);
        check_members(pack, &report["packs"][&pack.id]);
        check_gnu_tar(pack, &stem.with_extension("tar.zst"), &report["packs"][&pack.id]);
    }
    let files: BTreeSet<&str> =
        report["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(files.len(), 2 * packs.len() + 3);
    let journals = report["journals"].as_array().unwrap();
    assert_eq!(journals.len(), 3);
    assert_eq!(
        journals[0],
        json!([{
            "event": "pack_committed", "pack": packs[0].id, "start_block": 0, "bytes": packs[0].summary.bytes,
            "digest": packs[0].summary.digest.to_string(),
        }])
    );
    let dead = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    assert_eq!(
        journals[1],
        json!([
            { "event": "archive_dead", "archive": dead },
            { "event": "record_changed", "archive": dead, "at_ms": -5, "record": "{\"a\":\"\u{1}é\"}" },
            { "event": "dead_blocks", "first": u64::MAX - 1, "end": u64::MAX },
        ])
    );
    assert_eq!(journals[2], json!([]));
}

/// The lines of a manifest as the reader gives them, against what went in.
fn check_members(pack: &Pack, lines: &Value) {
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), pack.members.len());
    for ((line, (member, data)), place) in lines.iter().zip(&pack.members).zip(&pack.summary.members) {
        assert_eq!(line["id"], member.id.to_string());
        assert_eq!(line["offset"], place.offset);
        assert_eq!(line["length"], data.len() as u64);
        assert_eq!(line["digest"], blake3::hash(data).to_hex().as_str());
        let record = &line["record"];
        assert_eq!(record["key"], member.record.key);
        assert_eq!(record["bucket"], member.record.bucket);
        assert_eq!(record["version_id"], member.record.version_id.clone().unwrap());
        assert_eq!(record["last_modified_ms"], member.record.last_modified_ms);
        assert_eq!(record["metadata"], json!([["owner", "Zoë\n= 1"]]));
        assert_eq!(
            record["parts"][1],
            json!({ "number": 2, "size": 5, "etag": "e", "checksums": [["CRC32", "AAAAAA=="]] })
        );
        assert_eq!(record["lock_until_ms"], i64::MAX);
        assert_eq!(record.get("legal_hold").is_some(), member.record.legal_hold);
        assert_eq!(record.get("acl"), None);
    }
}

/// `zstd -d | tar x` says nothing and leaves every member under the name the reader worked out, and no other file but
/// the manifest.
fn check_gnu_tar(pack: &Pack, file: &Path, lines: &Value) {
    let out = file.with_extension("members");
    fs::create_dir(&out).unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", "zstd -dc -- \"$1\" | tar -x --keep-old-files -C \"$2\" -f - && echo done", "sh"]);
    let output = run(shell.arg(file).arg(&out).env("LC_ALL", "C.UTF-8"));
    let said = String::from_utf8_lossy(&output.stderr);
    // A date before 1970 is the only thing tar has a word for, and it extracts the member all the same.
    let harmless =
        |line: &str| line.contains("before 1970~") && line.contains(": implausibly old time stamp");
    assert!(said.lines().all(harmless) && output.stdout == b"done\n", "{said}");
    let mut expected = BTreeSet::from([out.join(format!("manifest~{}.jsonl", pack.id))]);
    for (line, (_, data)) in lines.as_array().unwrap().iter().zip(&pack.members) {
        let path = out.join(line["name"].as_str().unwrap());
        assert!(fs::read(&path).unwrap() == *data, "{path:?}");
        assert!(expected.insert(path));
    }
    let mut found = BTreeSet::new();
    files_below(&out, &mut found);
    assert_eq!(found, expected);
}

fn files_below(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { assert!(found.insert(path)) }
    }
}

fn uuid_text(number: u128) -> String {
    volume::ltfs::VolumeUuid::from_u128(number).to_string()
}

#[test]
fn a_stranger_reads_one_member_by_its_place_and_little_else() {
    let mut shelf = Shelf::new();
    let fillers = (0..16).map(|n| member(n, &format!("filler/{n}"), data(1 + 2 * n as u64, 3 << 20)));
    let needle = member(99, "needle \u{1f9f5}", data(77, 100_000));
    let mut members: Vec<_> = fillers.collect();
    members.insert(8, needle.clone());
    let pack = Arc::new(spool(shelf.dir.path(), 9, members));
    let of = pack.clone();
    let report = shelf.append(move |mounted| {
        of.append(mounted).unwrap();
        mounted.commit().unwrap();
        WorkEnd::Unload
    });
    report.unwrap();
    let tape = shelf.export("tape");
    let out = shelf.dir.path().join("needle");
    let id = needle.0.id.to_string();
    let report = judge(&tape, &["--member".as_ref(), pack.id.as_ref(), id.as_ref(), out.as_os_str()]);
    assert!(fs::read(&out).unwrap() == needle.1);
    assert_eq!(report["member"]["key"], "needle \u{1f9f5}");
    let (read, all) = (&report["member"]["blocks_read"], &report["member"]["blocks"]);
    // The tail of the pack, the frame of the manifest and the frame of the member: each within two blocks or so.
    assert!(read.as_u64().unwrap() <= 6 && all.as_u64().unwrap() >= 96, "{read} of {all} blocks");
}
