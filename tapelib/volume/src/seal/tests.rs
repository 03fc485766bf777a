#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod vectors;

use std::collections::BTreeSet;
use std::io::{self, Cursor, Write};

use proptest::prelude::*;
use ulid::Ulid;

use super::header::{Header, nonce};
use super::key::Secret;
use super::{
    Error, KeyId, KeySource, Keyring, MaybeSealed, NoKeys, Provider, SealWriter, SealingKey, Unsealed, note,
    overhead,
};
use crate::pack::{self, PackId, ReadAt};

const BLOCK: usize = 4_096;
const PLAIN: usize = BLOCK - 16;
const PROVIDERS: [Provider; 2] = [Provider::Bulk, Provider::Portable];

fn keyring() -> Keyring {
    let mut keyring = Keyring::default();
    keyring.create(&"pool".parse().unwrap(), 0, "2026-12-01T00:00:00Z").unwrap();
    keyring
}

fn newest(keyring: &Keyring) -> SealingKey {
    keyring.newest(&"pool".parse().unwrap()).unwrap()
}

fn pack_id(number: u128) -> PackId {
    PackId(Ulid(number))
}

/// `plain` sealed in small blocks.
fn sealed(keyring: &Keyring, pack: PackId, plain: &[u8]) -> Vec<u8> {
    let mut writer = SealWriter::with_blocks_of(BLOCK as u32, Vec::new(), pack, &newest(keyring)).unwrap();
    plain.chunks(1_000).for_each(|chunk| writer.write_all(chunk).unwrap());
    writer.finish().unwrap()
}

/// Everything in a sealed pack, read from its start to its end.
fn opened(keys: &dyn KeySource, bytes: &[u8], provider: Provider) -> Result<Vec<u8>, pack::Error> {
    let mut unsealed = Unsealed::open(Cursor::new(bytes), bytes.len() as u64, keys, provider)?;
    let mut plain = vec![0; unsealed.plain_bytes() as usize];
    pack::read_exact_at(&mut unsealed, 0, &mut plain)?;
    Ok(plain)
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256) as u8).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

#[test]
fn both_implementations_meet_the_vectors() {
    for [key, nonce, bound, plain, ciphertext, tag] in vectors::VECTORS.iter().map(|v| v.map(from_hex)) {
        for provider in PROVIDERS {
            let cipher = provider.cipher(&Secret::from_slice(&key).unwrap());
            let nonce = nonce[..].try_into().unwrap();
            let mut buffer = plain.clone();
            assert_eq!(cipher.seal(nonce, &bound, &mut buffer)[..], tag, "{provider:?}");
            assert_eq!(buffer, ciphertext, "{provider:?}");
            buffer.extend_from_slice(&tag);
            for at in 0..buffer.len() {
                let mut forged = buffer.clone();
                forged[at] ^= 1;
                assert!(cipher.open(nonce, &bound, &mut forged).is_err(), "{provider:?} byte {at}");
            }
            let mut other_bound = bound.clone();
            other_bound.push(0);
            assert!(cipher.open(nonce, &other_bound, &mut buffer.clone()).is_err(), "{provider:?}");
            assert_eq!(cipher.open(nonce, &bound, &mut buffer).unwrap(), plain, "{provider:?}");
        }
    }
}

#[test]
fn every_length_reads_back_by_both_implementations() {
    let keyring = keyring();
    for length in [1, 15, 16, 17, PLAIN - 1, PLAIN, PLAIN + 1, 2 * PLAIN, 3 * PLAIN + 100] {
        let plain = bytes(length);
        let file = sealed(&keyring, pack_id(1), &plain);
        assert_eq!(file.len(), BLOCK + length + length.div_ceil(PLAIN) * 16);
        for provider in PROVIDERS {
            assert_eq!(opened(&keyring, &file, provider).unwrap(), plain, "{length} {provider:?}");
        }
    }
    let mut file = SealWriter::new(Vec::new(), pack_id(1), &newest(&keyring)).unwrap();
    file.write_all(&bytes(1_100_000)).unwrap();
    let file = file.finish().unwrap();
    assert_eq!(opened(&keyring, &file, Provider::Bulk).unwrap(), bytes(1_100_000));
    assert!(file.len() as u64 <= 1_100_000 + overhead(1_100_000));
    let empty = SealWriter::new(Vec::new(), pack_id(1), &newest(&keyring)).unwrap();
    assert!(empty.finish().is_err(), "a pack of nothing is refused");
}

/// The data key of a sealed pack or note, and the blocks that open under each nonce.
fn data_key(keyring: &Keyring, file: &[u8]) -> Secret {
    Header::decode(&file[..BLOCK]).unwrap().data_key(keyring).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_key_and_nonce_are_used_twice(lengths in prop::collection::vec(1..5 * PLAIN, 1..12)) {
        let keyring = keyring();
        let mut used = BTreeSet::new();
        let mut wrapped = BTreeSet::new();
        // The same pack, cut again and again, is the worst case: only what is drawn can tell the cuts apart.
        for length in lengths {
            let file = sealed(&keyring, pack_id(1), &bytes(length));
            let header = Header::decode(&file[..BLOCK]).unwrap();
            let key = data_key(&keyring, &file);
            let cipher = Provider::Portable.cipher(&key);
            prop_assert!(wrapped.insert(file[32 + 76..32 + 88].to_vec()), "a wrapping nonce came twice");
            let blocks: Vec<&[u8]> = file[BLOCK..].chunks(BLOCK).collect();
            for (number, block) in (1_u64..).zip(&blocks) {
                let bound = header.bound(number, number == blocks.len() as u64);
                // What opens under a nonce was sealed under it.
                prop_assert!(cipher.open(nonce(number), &bound, &mut block.to_vec()).is_ok());
                prop_assert!(used.insert((*key.bytes(), nonce(number))), "a key and nonce came twice");
            }
        }
        for _ in 0..8 {
            let note = note::seal(&newest(&keyring), "x", b"x").unwrap();
            prop_assert!(wrapped.insert(note[12 + 76..12 + 88].to_vec()), "a wrapping nonce came twice");
        }
    }

    #[test]
    fn any_place_reads_as_it_was_written(length in 1..6 * PLAIN, reads in prop::collection::vec((any::<u32>(), 1..9_000_usize), 1..20)) {
        let (keyring, plain) = (keyring(), bytes(length));
        let file = sealed(&keyring, pack_id(1), &plain);
        let mut unsealed =
            Unsealed::open(Cursor::new(&file), file.len() as u64, &keyring, Provider::Bulk).unwrap();
        for (at, room) in reads {
            let at = at as usize % (length + 10);
            let mut buffer = vec![0; room];
            let read = unsealed.read_at(at as u64, &mut buffer).unwrap();
            let expected = plain.get(at..(at + read).min(length)).unwrap_or_default();
            prop_assert_eq!(&buffer[..read], expected);
            prop_assert_eq!(read == 0, at >= length);
        }
    }

    #[test]
    fn a_changed_byte_is_refused(length in 1..4 * PLAIN, at in any::<u32>(), bit in 0..8_u8) {
        let keyring = keyring();
        let mut file = sealed(&keyring, pack_id(1), &bytes(length));
        let at = at as usize % file.len();
        file[at] ^= 1_u8 << bit;
        let error = opened(&keyring, &file, Provider::Bulk).unwrap_err();
        // Not even a changed name of the key is taken for a missing key.
        prop_assert!(error.is_damage(), "{error:?}");
    }

    #[test]
    fn a_file_cut_or_longer_is_refused(length in 1..4 * PLAIN, cut in any::<u32>()) {
        let keyring = keyring();
        let file = sealed(&keyring, pack_id(1), &bytes(length));
        let cut = cut as usize % file.len();
        prop_assert!(opened(&keyring, &file[..cut], Provider::Bulk).unwrap_err().is_damage());
        let longer = [&file[..], &file[file.len() - 1 - cut % 100..]].concat();
        prop_assert!(opened(&keyring, &longer, Provider::Bulk).is_err());
    }

    #[test]
    fn what_is_no_seal_is_an_error_and_no_panic(junk in prop::collection::vec(any::<u8>(), 0..9_000), size in any::<u32>()) {
        let keyring = keyring();
        let mut file = sealed(&keyring, pack_id(1), b"x");
        prop_assert!(opened(&keyring, &junk, Provider::Bulk).is_err());
        file[12..16].copy_from_slice(&size.to_be_bytes());
        file.extend(&junk);
        prop_assert!(size == BLOCK as u32 || opened(&keyring, &file, Provider::Bulk).is_err());
        prop_assert!(note::open(&keyring, "x", &junk).is_err());
    }

    #[test]
    fn a_note_opens_for_what_it_is_about_and_for_nothing_else(text in any::<String>(), at in any::<u32>()) {
        let keyring = keyring();
        let key = newest(&keyring);
        let sealed = note::seal(&key, "record 1", text.as_bytes()).unwrap();
        for provider in PROVIDERS {
            prop_assert_eq!(note::open_with(&keyring, "record 1", &sealed, provider).unwrap(), text.as_bytes());
        }
        let other = note::open(&keyring, "record 2", &sealed).unwrap_err();
        prop_assert!(other.is_damage());
        let mut changed = sealed.clone();
        changed[at as usize % sealed.len()] ^= 1;
        prop_assert!(note::open(&keyring, "record 1", &changed).is_err());
        prop_assert!(note::open(&keyring, "record 1", &sealed[..at as usize % sealed.len()]).is_err());
        let as_text = note::seal_text(&key, "record 1", &text).unwrap();
        prop_assert_eq!(note::open_text(&keyring, "record 1", &as_text).unwrap(), text.clone());
        prop_assert_eq!(note::read_text(&keyring, "record 1", as_text).unwrap(), text);
        prop_assert_eq!(note::read_text(&NoKeys, "x", "{}".to_owned()).unwrap(), "{}");
        prop_assert_eq!(note::mark_of(&sealed).unwrap(), key.mark());
    }
}

#[test]
fn blocks_swapped_repeated_or_of_another_pack_are_refused() {
    let keyring = keyring();
    let plain = bytes(4 * PLAIN);
    let (file, again) = (sealed(&keyring, pack_id(1), &plain), sealed(&keyring, pack_id(1), &plain));
    let block = |file: &[u8], number: usize| file[number * BLOCK..(number + 1) * BLOCK].to_vec();
    let with = |number: usize, bytes: &[u8]| {
        let mut forged = file.clone();
        forged[number * BLOCK..(number + 1) * BLOCK].copy_from_slice(bytes);
        opened(&keyring, &forged, Provider::Bulk)
    };
    assert!(with(1, &block(&file, 1)).is_ok());
    for (number, bytes) in [
        (1, block(&file, 2)),
        (2, block(&file, 1)),
        (1, block(&again, 1)),
        (0, block(&again, 0)),
        (3, block(&file, 4)),
    ] {
        assert!(with(number, &bytes).unwrap_err().is_damage(), "block {number}");
    }
    // Cut where a block ends: the block that is last now was not sealed as the last.
    assert!(opened(&keyring, &file[..4 * BLOCK], Provider::Bulk).unwrap_err().is_damage());
    let mut repeated = file.clone();
    repeated.extend(block(&file, 4));
    assert!(opened(&keyring, &repeated, Provider::Bulk).unwrap_err().is_damage());
}

#[test]
fn a_missing_key_a_wrong_key_and_damage_are_three_things() {
    let mut keyring = keyring();
    let file = sealed(&keyring, pack_id(1), b"secret");
    let note = note::seal(&newest(&keyring), "x", b"secret").unwrap();
    let first: KeyId = "pool:1".parse().unwrap();
    let seal_error = |keys: &dyn KeySource| match opened(keys, &file, Provider::Bulk) {
        Err(pack::Error::Seal(error)) => error,
        other => panic!("{other:?}"),
    };
    let missing = seal_error(&NoKeys);
    assert!(matches!(&missing, Error::NoKey { key } if key == "pool:1") && missing.wants_key());
    let other = self::keyring();
    let wrong = seal_error(&other);
    assert!(matches!(&wrong, Error::WrongKey { key } if *key == first) && wrong.wants_key());
    assert!(!wrong.is_damage());
    assert!(matches!(note::open(&other, "x", &note), Err(Error::WrongKey { .. })));
    assert!(matches!(note::open(&NoKeys, "x", &note), Err(Error::NoKey { .. })));
    // Rotated and retired: the old seal opens, the new key seals.
    keyring.rotate(&first.name, 0, "2027-01-01T00:00:00Z").unwrap();
    keyring.retire(&first).unwrap();
    assert_eq!(opened(&keyring, &file, Provider::Portable).unwrap(), b"secret");
    let newer = sealed(&keyring, pack_id(2), b"secret");
    let newer = Unsealed::open(Cursor::new(&newer), newer.len() as u64, &keyring, Provider::Bulk).unwrap();
    assert_eq!((newer.key().version, newer.pack()), (2, pack_id(2)));
}

#[test]
fn a_note_tells_its_length_only_up_to_512_bytes() {
    let key = newest(&keyring());
    let length = |bytes: usize| note::seal(&key, "x", &vec![7; bytes]).unwrap().len();
    assert_eq!(length(0), length(508));
    assert_eq!(length(509), length(1_020));
    assert_eq!(length(509) - length(508), 512);
    let too_long = note::seal(&key, "x", &vec![0; note::BYTES_MAX as usize + 1]);
    assert!(matches!(too_long, Err(Error::TooLong { .. })));
}

#[test]
fn a_pack_that_is_not_sealed_reads_as_it_is() {
    for plain in [&b"(\xb5/\xfd and so on"[..], b"", b"tg"] {
        let mut source =
            MaybeSealed::open(Cursor::new(plain), plain.len() as u64, &NoKeys, Provider::Bulk).unwrap();
        let mut read = vec![0; plain.len()];
        pack::read_exact_at(&mut source, 0, &mut read).unwrap();
        assert_eq!((&read[..], source.plain_bytes(), source.key()), (plain, plain.len() as u64, None));
    }
}

#[test]
fn after_a_failed_write_no_nonce_is_used_again() {
    struct Failing(usize);
    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or_else(|| io::Error::other("the disk is full"))?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let key = newest(&keyring());
    let mut writer = SealWriter::with_blocks_of(BLOCK as u32, Failing(1), pack_id(1), &key).unwrap();
    assert!(writer.write_all(&bytes(2 * PLAIN)).is_err());
    assert!(writer.write_all(&bytes(2 * PLAIN)).unwrap_err().to_string().contains("an earlier block"));
    assert!(writer.finish().is_err());
}
