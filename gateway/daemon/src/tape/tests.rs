//! Cartridges written by a library, read with nothing but their folders.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use library::{
    Barcode, CatalogId, Config, CopyLabel, End, Expected, Library, Mount, Overwrite, PackFile,
    VolumeIdentity, VolumeUuid, WorkEnd,
};
use ulid::Ulid;
use virtual_library::{Geometry, VirtualLibrary};
use volume::pack::{Member, MemberId, ObjectRecord, Options, PackId, PackWriter, Segment};
use volume::seal::{KeySource, SealingKey};

use super::*;

const KEYS: [&str; 6] = ["a", "a/b", "x//y", "/x", "../../../etc/passwd", "tab\tand\u{1b}[0m"];
const CATALOG: u128 = 9;

/// One member of a pack.
struct Piece {
    key: &'static str,
    id: u128,
    segment: Option<(u32, u32)>,
    object: Vec<u8>,
    bytes: Vec<u8>,
}

fn whole(id: u128, key: &'static str) -> Piece {
    let bytes = format!("{key} has these bytes; ").repeat(id as usize * 1_000).into_bytes();
    Piece { key, id, segment: None, object: bytes.clone(), bytes }
}

fn pack(id: u128, pieces: &[Piece]) -> (Vec<u8>, volume::pack::PackSummary) {
    sealed_pack(id, pieces, None)
}

fn sealed_pack(id: u128, pieces: &[Piece], key: Option<SealingKey>) -> (Vec<u8>, volume::pack::PackSummary) {
    let options = Options { level: 1, workers: 1, key };
    let mut writer = PackWriter::new(Vec::new(), PackId(Ulid(id)), &options).unwrap();
    for piece in pieces {
        let record = ObjectRecord {
            bucket: "bucket".into(),
            key: piece.key.into(),
            etag: "e".into(),
            size: piece.object.len() as u64,
            class: "GLACIER".into(),
            ..ObjectRecord::default()
        };
        let segment = piece.segment.map(|(index, count)| Segment { index, count });
        let length = piece.bytes.len() as u64;
        writer.begin_member(Member { id: MemberId(Ulid(piece.id)), length, segment, record }).unwrap();
        writer.write(&piece.bytes).unwrap();
        writer.end_member().unwrap();
    }
    writer.finish().unwrap()
}

/// A library folder with these packs, each on a cartridge of its own; the last cartridge stays blank.
fn library(folder: &Path, packs: &[(Vec<u8>, volume::pack::PackSummary)]) {
    let geometry = Geometry {
        drives: 1,
        slots: 4,
        mail_slots: 0,
        cartridge_bytes: 200 << 20,
        index_partition_bytes: 10 << 20,
    };
    let machine = VirtualLibrary::open(folder, geometry).unwrap();
    let library =
        Library::open(Config::new("test"), machine.changer_transport(), vec![machine.drive_transport(0)])
            .unwrap();
    for (number, (bytes, summary)) in packs.iter().enumerate() {
        let barcode = Barcode::parse(&format!("TG000{}L9", number + 1)).unwrap();
        let catalog_id = CatalogId::from_u128(CATALOG);
        let uuid = VolumeUuid::from_u128(1 + number as u128);
        let identity = VolumeIdentity { uuid, catalog_id, name: barcode.to_string() };
        let labelled = library.label(&barcode, identity, Overwrite::Never).unwrap();
        let expect = Expected {
            uuid: labelled.uuid,
            mam_serial: labelled.mam_serial,
            catalog_id,
            generation: labelled.generation,
            eod_block: labelled.eod_block,
            end: End::Clean,
        };
        let path = folder.join(format!("{number}.pack"));
        fs::write(&path, bytes).unwrap();
        let (id, digest, manifest) = (summary.id.to_string(), summary.digest.0, summary.manifest.clone());
        let (length, sealed) = (bytes.len() as u64, summary.key.is_some());
        let (sender, done) = mpsc::channel();
        let work = Box::new(move |mounted: &mut library::Mounted<library::Appending>| {
            let copy = CopyLabel::default();
            let file = PackFile { id, path, bytes: length, digest, sealed, manifest: &manifest, copy };
            mounted.append_pack(&file).unwrap();
            mounted.commit().unwrap();
            WorkEnd::Unload
        });
        let told = Box::new(move |report| drop(sender.send(report)));
        library.append(Mount { barcode, expect }, work, told).unwrap();
        done.recv().unwrap().unwrap();
    }
    library.shutdown(Duration::from_secs(10)).unwrap();
}

fn read(path: &Path, to: &Path, key: Option<&str>) -> Result<(), Error> {
    let key = key.map(str::to_owned);
    let (path, to) = (path.to_owned(), to.to_owned());
    run(TapeCommand::Read { path, keyring: None, to, key, archive: None, json: true })
}

/// Every file below a folder: path relative to it, and content or date.
fn files<T>(folder: &Path, of: impl Fn(&Path) -> T + Copy) -> BTreeMap<PathBuf, T> {
    fn walk<T>(root: &Path, folder: &Path, of: impl Fn(&Path) -> T + Copy, found: &mut BTreeMap<PathBuf, T>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, of, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), of(&path));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, of, &mut found);
    found
}

fn date_and_bytes(path: &Path) -> (SystemTime, Vec<u8>) {
    (fs::metadata(path).unwrap().modified().unwrap(), fs::read(path).unwrap())
}

#[test]
fn every_object_comes_back_from_the_folders_alone_and_nothing_there_changes() {
    let folder = tempfile::tempdir().unwrap();
    let tapes = folder.path().join("library");
    let pieces: Vec<Piece> = KEYS.iter().zip(1..).map(|(key, id)| whole(id, key)).collect();
    let large = whole(50, "large").bytes;
    let (head, tail) = large.split_at(100_000);
    let segment = |index, bytes: &[u8]| Piece {
        key: "large",
        id: 99,
        segment: Some((index, 2)),
        object: large.clone(),
        bytes: bytes.to_vec(),
    };
    library(&tapes, &[pack(1, &pieces), pack(2, &[segment(2, tail)]), pack(3, &[segment(1, head)])]);
    let cartridges = tapes.join("cartridges");
    let before = files(&cartridges, date_and_bytes);

    let to = folder.path().join("out");
    read(&tapes, &to, None).unwrap();
    let out = files(&to, |path| fs::read(path).unwrap());
    assert_eq!(out.len(), pieces.len() + 1, "{:?}", out.keys());
    for piece in &pieces {
        let name = volume::pack::member_name("bucket", piece.key, MemberId(Ulid(piece.id)), None);
        assert!(out[Path::new(&name)] == piece.bytes, "{name}");
    }
    let joined = volume::pack::member_name("bucket", "large", MemberId(Ulid(99)), None);
    assert!(out[Path::new(&joined)] == large, "segments are joined in their order");

    read(&cartridges.join("TG0001L9"), &folder.path().join("one"), Some("a/b")).unwrap();
    assert_eq!(files(&folder.path().join("one"), |_| ()).len(), 1);
    run(TapeCommand::List { path: tapes.clone(), keyring: None, json: false }).unwrap();
    let export = TapeCommand::Export { path: tapes, ltfs_dir: folder.path().join("ltfs"), json: false };
    run(export).unwrap();
    assert!(folder.path().join("ltfs/TG0002L9/1_0_R").is_file());
    assert!(files(&cartridges, date_and_bytes) == before, "reading changes nothing");
}

#[test]
fn what_is_missing_or_damaged_is_told_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let tapes = folder.path().join("library");
    let half = Piece { segment: Some((1, 2)), object: vec![7; 20], bytes: vec![7; 10], ..whole(3, "cut") };
    library(&tapes, &[pack(1, &[whole(1, "first")]), pack(2, &[whole(2, "second"), half])]);
    let to = folder.path().join("out");
    assert!(matches!(read(&tapes, &to, None), Err(Error::Partial { .. })), "a segment is missing");
    assert!(matches!(read(&tapes, &to, Some("no such key")), Err(Error::Partial { .. })));
    assert!(matches!(read(folder.path(), &to, None), Err(Error::Usage { .. })));

    let data = tapes.join("cartridges/TG0001L9/partition-1.data");
    let mut bytes = fs::read(&data).unwrap();
    let at = bytes.len() / 2;
    bytes[at..at + 64].fill(0xFF);
    fs::write(&data, bytes).unwrap();
    fs::remove_dir_all(&to).unwrap();
    assert!(read(&tapes, &to, None).is_err());
    let out = files(&to, |_| ());
    assert!(out.keys().any(|path| path.to_string_lossy().contains("second~")), "{out:?}");
    assert!(!out.keys().any(|path| path.to_string_lossy().contains("unfinished")), "{out:?}");
}

#[test]
fn a_sealed_cartridge_is_read_with_its_keyring_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let mut keys = Keyring::default();
    keys.create(&"vault".parse().unwrap(), 0, "2026-12-01T00:00:00Z").unwrap();
    let key = keys.newest(&"vault".parse().unwrap()).unwrap();
    let pieces = [whole(1, "a"), whole(2, "a/b")];
    library(folder.path(), &[sealed_pack(7, &pieces, Some(key)), pack(8, &[whole(3, "x//y")])]);
    let ring = folder.path().join("ring");
    fs::write(&ring, keys.to_text(None).as_bytes()).unwrap();
    let read = |keyring: Option<&Path>, to: &Path| {
        let (path, keyring) = (folder.path().to_owned(), keyring.map(Path::to_owned));
        run(TapeCommand::Read { path, keyring, to: to.to_owned(), key: None, archive: None, json: true })
    };
    let list = |keyring: Option<&Path>| {
        let (path, keyring) = (folder.path().to_owned(), keyring.map(Path::to_owned));
        run(TapeCommand::List { path, keyring, json: false })
    };
    let (with, without) = (folder.path().join("with"), folder.path().join("without"));
    read(Some(&ring), &with).unwrap();
    list(Some(&ring)).unwrap();
    assert_eq!(files(&with, |path| fs::read(path).unwrap()).len(), 3);
    // What is not sealed is read all the same.
    assert!(matches!(read(None, &without), Err(Error::Partial { .. })));
    assert_eq!(files(&without, |path| fs::read(path).unwrap()).len(), 1);
    assert!(list(None).is_err());
    let error = with_advice(volume::pack::Error::Seal(keys.find(&"vault:2".parse().unwrap()).unwrap_err()));
    assert!(error.to_string().contains("vault:2") && error.to_string().contains("--keyring"), "{error}");
    fs::write(&ring, "nonsense").unwrap();
    assert!(matches!(read(Some(&ring), &with), Err(Error::Keyring { .. })));
}
