//! Sealed packs: read as others are with the key, and telling nothing without it.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Cursor, Read};

use support::{ODD_KEYS, data, member, pack_id};
use volume::pack::{
    Digest, Error, Extent, InOrder, ManifestReader, Options, PackReader, PackSummary, PackWriter, Scan,
};
use volume::seal::{self, KeySource, Keyring, MaybeSealed, NoKeys, Provider};

const KEYS: [&str; 3] = ["distinctive/name-of-an-object", "another-distinctive-name", "large"];

fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.create(&"vault".parse().unwrap(), 0, "2026-12-01T00:00:00Z").unwrap();
    keyring
}

fn sealed_pack(keyring: &Keyring) -> (Vec<u8>, PackSummary) {
    let key = keyring.newest(&"vault".parse().unwrap()).unwrap();
    let options = Options { level: 1, workers: 2, key: Some(key) };
    let mut writer = PackWriter::new(Vec::new(), pack_id(), &options).unwrap();
    for (number, key) in (1_u8..).zip(KEYS.into_iter().chain(ODD_KEYS)) {
        let data = content(number);
        writer.begin_member(member(number.into(), key, data.len() as u64)).unwrap();
        writer.write(&data).unwrap();
        writer.end_member().unwrap();
    }
    writer.finish().unwrap()
}

fn content(number: u8) -> Vec<u8> {
    match number {
        3 => data(7, 3_000_000),
        _ => format!("content that nobody else has {number}").into_bytes(),
    }
}

#[test]
fn a_sealed_pack_reads_as_any_other_with_either_implementation() {
    let keyring = keyring();
    let (file, summary) = sealed_pack(&keyring);
    assert_eq!((summary.bytes, summary.digest), (file.len() as u64, Digest::of(&file)));
    let plain_bytes = summary.plain_bytes;
    for provider in [Provider::Bulk, Provider::Portable] {
        let source = Cursor::new(&file);
        let mut reader = PackReader::open_any(source, summary.bytes, &keyring, provider).unwrap();
        assert_eq!(reader.key().map(ToString::to_string).as_deref(), Some("vault:1"));
        assert_eq!((reader.id(), reader.plain_bytes()), (pack_id(), plain_bytes));
        for (number, place) in (1_u8..=26).zip(&summary.members).rev() {
            let extent = Extent { offset: place.offset, length: place.length };
            let mut read = Vec::new();
            reader.member(extent, Some(place.digest)).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, content(number));
        }
        let inside: Vec<_> = reader.manifest().unwrap().map(Result::unwrap).collect();
        let beside = ManifestReader::beside(summary.manifest.clone(), pack_id(), &keyring).unwrap();
        assert_eq!(inside, beside.map(Result::unwrap).collect::<Vec<_>>());
        let mut scan = reader.members().unwrap();
        let mut met = Vec::new();
        while let Some(member) = scan.next_member().unwrap() {
            met.push(member.record.key);
        }
        assert!(met.iter().eq(KEYS.iter().chain(&ODD_KEYS)), "{met:?}");
    }
}

#[test]
fn an_unsealed_pack_needs_no_key() {
    let members = [(member(1, "k", 5), b"hello".to_vec())];
    let (file, summary) = support::pack(&members, 1);
    let reader = PackReader::open_any(Cursor::new(&file), summary.bytes, &NoKeys, Provider::Bulk).unwrap();
    assert_eq!((reader.id(), reader.key()), (pack_id(), None));
    assert!(ManifestReader::beside(summary.manifest, pack_id(), &NoKeys).is_ok());
}

#[test]
fn without_the_key_nothing_shows() {
    let keyring = keyring();
    let (file, summary) = sealed_pack(&keyring);
    for bytes in [&file, &summary.manifest] {
        assert!(seal::is_sealed(bytes));
        for secret in [KEYS[0], KEYS[1], "content that", "bucket", "GLACIER", "Zoë", "ustar", "manifest"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} stands in clear");
        }
    }
    let opened = PackReader::open_any(Cursor::new(&file), summary.bytes, &NoKeys, Provider::Bulk);
    let error = opened.err().unwrap();
    assert!(matches!(&error, Error::Seal(error) if error.wants_key()) && !error.is_damage(), "{error:?}");
    assert!(PackReader::open(Cursor::new(&file), summary.bytes).is_err_and(|error| error.is_damage()));
    let beside = ManifestReader::beside(summary.manifest, pack_id(), &NoKeys);
    assert!(matches!(beside.err().unwrap(), Error::Seal(error) if error.wants_key()));
}

#[test]
fn a_manifest_serves_its_own_pack_only() {
    let keyring = keyring();
    let (_, summary) = sealed_pack(&keyring);
    let other = "01J00000000000000000000000".parse().unwrap();
    assert!(ManifestReader::beside(summary.manifest, other, &keyring).is_err_and(|error| error.is_damage()));
    let (_, plain) = support::pack(&[(member(1, "k", 5), b"hello".to_vec())], 1);
    assert!(ManifestReader::beside(plain.manifest, other, &keyring).is_err_and(|error| error.is_damage()));
}

#[test]
fn a_seal_taken_for_another_pack_or_damaged_is_damage_of_the_pack() {
    let keyring = keyring();
    let (mut file, summary) = sealed_pack(&keyring);
    // Sealed under a header of another id, the same bytes inside.
    let mut inside = Vec::new();
    let source = MaybeSealed::open(Cursor::new(&file), summary.bytes, &keyring, Provider::Bulk).unwrap();
    InOrder::new(source).read_to_end(&mut inside).unwrap();
    assert!(Scan::sequential(&inside[..]).is_ok());
    let key = keyring.newest(&"vault".parse().unwrap()).unwrap();
    let other = "01J00000000000000000000000".parse().unwrap();
    let mut writer = volume::seal::SealWriter::new(Vec::new(), other, &key).unwrap();
    std::io::Write::write_all(&mut writer, &inside).unwrap();
    let forged = writer.finish().unwrap();
    let opened = PackReader::open_any(Cursor::new(&forged), forged.len() as u64, &keyring, Provider::Bulk);
    assert!(opened.is_err_and(|error| error.is_damage()));
    // A block damaged under a member is told when the member is read, as damage.
    let place = summary.members[2].clone();
    file[3 * 524_288] ^= 1;
    let mut reader =
        PackReader::open_any(Cursor::new(&file), summary.bytes, &keyring, Provider::Bulk).unwrap();
    let extent = Extent { offset: place.offset, length: place.length };
    let mut member = reader.member(extent, Some(place.digest)).unwrap();
    let failed = member.read_to_end(&mut Vec::new()).unwrap_err();
    let error = failed.into_inner().unwrap().downcast::<Error>().unwrap();
    assert!(error.is_damage() && matches!(*error, Error::Seal(_)), "{error:?}");
}
