//! A sealed cartridge: a stranger with the keyring reads all of it, one without it learns nothing of an object.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use library::WorkEnd;
use serde_json::json;
use support::packs::{Pack, data, member, odd_members, spool_sealed};
use support::{Shelf, copy, judge, refusal};
use volume::journal::Entry;
use volume::seal::{KeySource, Keyring, SealingKey, note};

const ARCHIVE: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const SECRET_NAME: &str = "board/minutes-of-the-secret-meeting.pdf";
const SECRET_TEXT: &str = "nobody else has this sentence in an object";
/// Of an object that is alone in its pack; its digits stand in no id of these tests.
const SECRET_SIZE: usize = 1_357_913;

fn keyring() -> (Keyring, SealingKey) {
    let mut keyring = Keyring::default();
    keyring.create(&"vault".parse().unwrap(), 0, "2026-12-01T00:00:00Z").unwrap();
    let key = keyring.newest(&"vault".parse().unwrap()).unwrap();
    (keyring, key)
}

fn save(shelf: &Shelf, name: &str, keyring: &Keyring) -> PathBuf {
    let path = shelf.dir.path().join(name);
    fs::write(&path, keyring.to_text(None).as_bytes()).unwrap();
    path
}

/// Ids of members and their bytes.
type Members = Vec<(String, Vec<u8>)>;

/// A cartridge with two sealed packs and a journal; the packs and what is in them.
fn written(key: &SealingKey) -> (Shelf, Vec<(String, Members)>) {
    let mut shelf = Shelf::new();
    let mut secret = SECRET_TEXT.as_bytes().to_vec();
    secret.extend(data(1, SECRET_SIZE - secret.len()));
    let secret = vec![member(9_000, SECRET_NAME, secret)];
    let packs = [
        spool_sealed(shelf.dir.path(), 1, secret, Some(key.clone())),
        spool_sealed(shelf.dir.path(), 2, odd_members(), Some(key.clone())),
    ];
    let members = |pack: &Pack| {
        pack.members.iter().map(|(member, data)| (member.id.to_string(), data.clone())).collect()
    };
    let contents = packs.iter().map(|pack| (pack.id.clone(), members(pack))).collect();
    let record = json!({"bucket": "b", "key": SECRET_NAME, "size": SECRET_SIZE}).to_string();
    let record = note::seal_text(key, &format!("record {ARCHIVE}"), &record).unwrap();
    let settings = note::seal_text(key, "bucket", &json!({"bucket": SECRET_NAME}).to_string()).unwrap();
    let report = shelf.append(move |mounted| {
        for pack in &packs {
            pack.append(mounted).unwrap();
        }
        let changed = Entry::RecordChanged { archive: ARCHIVE.to_owned(), at_ms: 7, record };
        let kept = Entry::BucketKept { at_ms: 7, settings };
        let entries = [packs[0].entry(), packs[1].entry(), changed, kept];
        mounted.append_journal(&entries).unwrap();
        mounted.commit().unwrap();
        WorkEnd::Unload
    });
    report.unwrap();
    (shelf, contents)
}

#[test]
fn a_stranger_with_the_keyring_reads_every_member() {
    let (keyring, key) = keyring();
    let (shelf, contents) = written(&key);
    let tape = shelf.export("tape");
    let ring = save(&shelf, "ring", &keyring);
    let report = judge(&tape, &["--packs".as_ref(), "--keyring".as_ref(), ring.as_os_str()]);
    for (pack, members) in &contents {
        let lines = report["packs"][pack].as_array().unwrap();
        assert_eq!(lines.len(), members.len());
        for (line, (id, data)) in lines.iter().zip(members) {
            assert_eq!(line["id"], *id);
            assert_eq!(line["digest"], blake3::hash(data).to_hex().as_str());
        }
    }
    let record = report["journals"][0][2]["record"].as_str().unwrap();
    assert!(record.contains(SECRET_NAME));
    let settings = report["journals"][0][3]["settings"].as_str().unwrap();
    assert!(settings.contains(SECRET_NAME));
    let out = shelf.dir.path().join("one");
    let (pack, member) = (&contents[0].0, &contents[0].1[0]);
    let one = ["--member".as_ref(), pack.as_ref(), member.0.as_ref(), out.as_os_str()];
    let report = judge(&tape, &[&one[..], &["--keyring".as_ref(), ring.as_os_str()]].concat());
    assert_eq!(report["member"]["key"], SECRET_NAME);
    assert!(fs::read(&out).unwrap() == member.1);
}

#[test]
fn a_stranger_without_the_key_or_with_another_reads_nothing() {
    let (_, key) = keyring();
    let (shelf, _) = written(&key);
    let tape = shelf.export("tape");
    assert!(refusal(&tape, &["--packs"]).contains("the key vault:1 is needed"));
    let ring = save(&shelf, "ring", &keyring().0);
    let said = refusal(&tape, &["--packs".as_ref(), "--keyring".as_ref(), ring.as_os_str()]);
    assert!(said.contains("the key vault:1 is another one"), "{said}");
}

#[test]
fn a_stranger_finds_what_was_changed_or_moved_in_a_seal() {
    let (keyring, key) = keyring();
    let (shelf, contents) = written(&key);
    let tape = shelf.export("tape");
    let ring = save(&shelf, "ring", &keyring);
    let out = shelf.dir.path().join("never");
    // Only the seal can tell here: a member read by its place is not compared with the digest of the whole pack.
    let (pack, member) = (&contents[0].0, &contents[0].1[0]);
    let one = ["--member".as_ref(), pack.as_ref(), member.0.as_ref(), out.as_os_str()];
    let arguments = [&one[..], &["--keyring".as_ref(), ring.as_os_str()]].concat();
    for (damage, make, reason) in DAMAGES {
        let bad = tempfile::tempdir().unwrap();
        copy(&tape, bad.path());
        make(bad.path());
        let said = refusal(bad.path(), &arguments);
        assert!(said.contains(reason), "{damage}: {said}");
    }
    judge(&tape, &arguments);
}

/// What is done to a directory, and what the reader must say of it. Block 7 of the data partition is the header of the
/// first pack.
type Damage = (&'static str, fn(&Path), &'static str);

const DAMAGES: &[Damage] = &[
    ("a flipped bit in the header", |dir| flip(dir, "1_7_R"), "the digest of its header"),
    ("a flipped bit in a block", |dir| flip(dir, "1_8_R"), "block 1: not what was sealed"),
    ("blocks in another order", |dir| swap(dir, "1_8_R", "1_9_R"), "block 1: not what was sealed"),
];

fn flip(dir: &Path, file: &str) {
    let mut bytes = fs::read(dir.join(file)).unwrap();
    bytes[300] ^= 1;
    fs::write(dir.join(file), bytes).unwrap();
}

fn swap(dir: &Path, one: &str, other: &str) {
    let bytes = fs::read(dir.join(one)).unwrap();
    fs::copy(dir.join(other), dir.join(one)).unwrap();
    fs::write(dir.join(other), bytes).unwrap();
}

#[test]
fn a_stolen_cartridge_shows_no_name_size_or_byte_of_an_object() {
    let (_, key) = keyring();
    let (shelf, contents) = written(&key);
    // The cartridge's own files, and its blocks and memory as another LTFS would see them, journals expanded.
    let mut texts = Vec::new();
    for folder in [shelf.cartridge(), shelf.export("tape")] {
        for file in fs::read_dir(folder).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            texts.extend(expanded(&bytes));
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    let holds = |needle: &str| texts.iter().any(|text| text.contains(needle));
    assert!(holds(&contents[0].0), "the id of a pack stands in clear: the search finds what is there");
    assert!(holds("\"record_changed\""), "journals are searched, too");
    let size = SECRET_SIZE.to_string();
    for secret in
        [SECRET_NAME, "minutes-of", SECRET_TEXT, &size, "GLACIER", "text/plain", "Zo\u{eb}", "ustar"]
    {
        assert!(!holds(secret), "{secret} stands in clear");
    }
    for (id, data) in contents.iter().flat_map(|(_, members)| members) {
        assert!(!holds(id), "an archive's id stands in clear");
        if let Ok(start) = str::from_utf8(&data[..data.len().min(24)])
            && start.len() == 24
        {
            assert!(!holds(start), "bytes of {id} stand in clear");
        }
    }
}

/// What a block holds that is one zstd frame.
fn expanded(block: &[u8]) -> Option<String> {
    if !block.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return None;
    }
    let mut zstd = Command::new("zstd");
    let mut running = zstd.args(["-dcq"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    running.stdin.take().unwrap().write_all(block).unwrap();
    let output = running.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
