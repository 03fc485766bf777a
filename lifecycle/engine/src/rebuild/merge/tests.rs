#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use volume::pack::{Digest, MemberId};

use super::*;

/// A step in the life of an installation.
#[derive(Clone, Debug)]
enum Step {
    /// New objects go into a pack on so many of the cartridges, from this one on.
    Pack { objects: u8, copies: u8, on: usize },
    /// A large object goes into packs of its own.
    Large { pieces: u8, on: usize },
    /// An object's bytes are written anew into another pack.
    Repack { object: usize, on: usize },
    /// An object is deleted; the journal on this cartridge tells it, or nothing does.
    Delete { object: usize, told: Option<usize> },
    /// An object's tags change; the journal on this cartridge tells it.
    Change { object: usize, told: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let cartridge = 0..CARTRIDGES;
    prop_oneof![
        4 => (1..5_u8, 1..3_u8, cartridge.clone())
            .prop_map(|(objects, copies, on)| Step::Pack { objects, copies, on }),
        1 => (2..4_u8, cartridge.clone()).prop_map(|(pieces, on)| Step::Large { pieces, on }),
        2 => (0..40_usize, cartridge.clone()).prop_map(|(object, on)| Step::Repack { object, on }),
        3 => (0..40_usize, prop::option::weighted(0.8, cartridge.clone()))
            .prop_map(|(object, told)| Step::Delete { object, told }),
        2 => (0..40_usize, cartridge).prop_map(|(object, told)| Step::Change { object, told }),
    ]
}

const CARTRIDGES: usize = 4;

/// An object as the model knows it.
#[derive(Clone, Debug)]
struct Object {
    /// Packs of each time its bytes were written, piece by piece, oldest first.
    written: Vec<Vec<usize>>,
    /// Cartridges that tell its death.
    deaths: Vec<usize>,
    deleted: bool,
    /// Its states, and the cartridge that tells each but the first.
    changes: Vec<(usize, String)>,
}

#[derive(Default)]
struct World {
    objects: Vec<Object>,
    /// Members and cartridges of each pack.
    packs: Vec<(Vec<ManifestEntry>, Vec<usize>)>,
    journals: [Vec<Entry>; CARTRIDGES],
    clock: i64,
}

fn archive(object: usize) -> ArchiveId {
    ArchiveId::new(object as u64 + 1, 7)
}

fn pack(number: usize) -> PackId {
    PackId::new(number as u64 + 1, 9)
}

fn record(object: usize, tags: &str) -> ObjectRecord {
    ObjectRecord {
        bucket: "bucket".into(),
        key: format!("key-{}", object % 5),
        version_id: object.is_multiple_of(2).then(|| format!("v{object}")),
        etag: "e".into(),
        last_modified_ms: object as i64,
        size: 12,
        tags: vec![("t".into(), tags.into())],
        ..ObjectRecord::default()
    }
}

fn member(object: usize, segment: Option<Segment>) -> ManifestEntry {
    let length = 12 / segment.map_or(1, |segment| u64::from(segment.count.max(1)));
    ManifestEntry {
        id: MemberId(archive(object).as_u128().into()),
        segment,
        offset: 512,
        length,
        digest: Digest([object as u8; 32]),
        record: record(object, "born"),
    }
}

impl World {
    fn put(&mut self, members: Vec<ManifestEntry>, on: Vec<usize>) -> usize {
        self.packs.push((members, on));
        self.packs.len() - 1
    }

    fn born(&mut self, packs: Vec<usize>) {
        self.objects.push(Object { written: vec![packs], deaths: vec![], deleted: false, changes: vec![] });
    }

    fn take(&mut self, step: Step) {
        self.clock += 1;
        let known = self.objects.len().max(1);
        match step {
            Step::Pack { objects, copies, on } => {
                let first = self.objects.len();
                let members = (first..first + objects as usize).map(|object| member(object, None)).collect();
                let on = (0..copies as usize).map(|copy| (on + copy) % CARTRIDGES).collect();
                let pack = self.put(members, on);
                (0..objects).for_each(|_| self.born(vec![pack]));
            }
            Step::Large { pieces, on } => {
                let (object, count) = (self.objects.len(), u32::from(pieces));
                let mut packs = Vec::new();
                for index in 1..=count {
                    let members = vec![member(object, Some(Segment { index, count }))];
                    packs.push(self.put(members, vec![(on + index as usize) % CARTRIDGES]));
                }
                self.born(packs);
            }
            Step::Repack { object, on } if object % known < self.objects.len() => {
                let object = object % known;
                if self.objects[object].written[0].len() == 1 {
                    let pack = self.put(vec![member(object, None)], vec![on]);
                    self.objects[object].written.push(vec![pack]);
                }
            }
            Step::Delete { object, told } if object % known < self.objects.len() => {
                let object = object % known;
                self.objects[object].deleted = true;
                if let Some(on) = told {
                    self.journals[on].push(Entry::ArchiveDead { archive: archive(object).to_string() });
                    self.objects[object].deaths.push(on);
                }
            }
            Step::Change { object, told } if object % known < self.objects.len() => {
                let object = object % known;
                let tags = format!("changed at {}", self.clock);
                let text = serde_json::to_string(&record(object, &tags)).unwrap();
                let archive = archive(object).to_string();
                self.journals[told].push(Entry::RecordChanged { archive, at_ms: self.clock, record: text });
                self.objects[object].changes.push((told, tags));
            }
            Step::Repack { .. } | Step::Delete { .. } | Step::Change { .. } => {}
        }
    }

    /// What is to come back when these cartridges are kept: tags by object, and packs piece by piece.
    fn expected(&self, kept: &[bool]) -> BTreeMap<usize, (bool, String, Vec<usize>)> {
        let there = |pack: &usize| self.packs[*pack].1.iter().any(|on| kept[*on]);
        let mut expected = BTreeMap::new();
        for (number, object) in self.objects.iter().enumerate() {
            let Some(place) = object.written.iter().rev().find(|packs| packs.iter().all(there)) else {
                continue;
            };
            let seen = |other: &usize| self.objects[*other].written.iter().flatten().any(there);
            let replaces = |other: &usize| other % 2 == 1 && other % 5 == number % 5 && seen(other);
            let overwritten =
                number % 2 == 1 && (number + 1..self.objects.len()).any(|other| replaces(&other));
            let dead = overwritten || object.deaths.iter().any(|on| kept[*on]);
            let told = object.changes.iter().rev().find(|(on, _)| kept[*on]);
            let tags = told.map_or("born".to_owned(), |(_, tags)| tags.clone());
            expected.insert(number, (!dead, tags, place.clone()));
        }
        expected
    }

    /// Rebuilds from the kept cartridges, packs in the order given.
    fn rebuilt(&self, kept: &[bool], backwards: bool) -> BTreeMap<usize, (bool, String, Vec<usize>)> {
        let mut told = Told::default();
        for (journal, _) in self.journals.iter().zip(kept).filter(|(_, kept)| **kept) {
            journal.iter().for_each(|entry| told.take(entry.clone()).unwrap());
        }
        let there = |on: &Vec<usize>| on.iter().any(|on| kept[*on]);
        let mut packs: Vec<usize> =
            (0..self.packs.len()).filter(|pack| there(&self.packs[*pack].1)).collect();
        let mut births = Births::default();
        for number in &packs {
            self.packs[*number].0.iter().for_each(|entry| births.note(pack(*number), entry));
        }
        if backwards {
            packs.reverse();
        }
        let mut merge = Merge::new(told, births);
        let mut rebuilt = BTreeMap::new();
        for number in packs {
            for entry in self.packs[number].0.clone() {
                let (lives, birth) = match merge.judge(pack(number), entry) {
                    Verdict::Lives(birth) => (true, birth),
                    Verdict::Dead(birth) | Verdict::Overwritten(birth) => (false, birth),
                    _ => continue,
                };
                let object = (0..self.objects.len()).find(|object| archive(*object) == birth.id).unwrap();
                let place = birth
                    .extents
                    .iter()
                    .map(|extent| (0..self.packs.len()).find(|number| pack(*number) == extent.pack).unwrap());
                let state = (lives, birth.record.tags[0].1.clone(), place.collect());
                assert_eq!(rebuilt.insert(object, state), None, "an archive comes back once");
            }
        }
        assert!(merge.open.is_empty());
        rebuilt
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happened and whichever cartridges are left: what comes back is what they can tell.
    #[test]
    fn a_rebuild_tells_what_the_cartridges_tell(
        steps in prop::collection::vec(step(), 1..40),
        kept in prop::collection::vec(prop::bool::weighted(0.8), CARTRIDGES),
        backwards in any::<bool>(),
    ) {
        let mut world = World::default();
        steps.into_iter().for_each(|step| world.take(step));
        prop_assert_eq!(world.rebuilt(&kept, backwards), world.expected(&kept));
        // With every cartridge there, exactly what was told to be deleted is dead.
        let all = world.rebuilt(&[true; CARTRIDGES], backwards);
        prop_assert_eq!(all.len(), world.objects.len());
        for (number, (lives, ..)) in all {
            let object = &world.objects[number];
            prop_assert!(lives != object.deleted || object.deaths.is_empty());
        }
    }
}

#[test]
fn a_change_of_another_object_is_not_believed() {
    let mut told = Told::default();
    for (at_ms, record) in [
        (1, ObjectRecord { size: 99, ..record(0, "x") }),
        (2, ObjectRecord { key: "other".into(), ..record(0, "y") }),
    ] {
        let record = serde_json::to_string(&record).unwrap();
        told.take(Entry::RecordChanged { archive: archive(0).to_string(), at_ms, record }).unwrap();
        let (latest, journaled) = told.latest(archive(0), super::tests::record(0, "born"));
        assert_eq!((latest.tags[0].1.as_str(), journaled), ("born", false));
    }
    assert!(told.take(Entry::ArchiveDead { archive: "nobody".into() }).is_err());
}

#[test]
fn pieces_that_cannot_be_are_refused() {
    for (index, count) in [(0, 1), (2, 1), (1, 0)] {
        let entry = member(0, Some(Segment { index, count }));
        let mut births = Births::default();
        births.note(pack(0), &entry);
        let verdict = Merge::new(Told::default(), births).judge(pack(0), entry);
        assert!(matches!(verdict, Verdict::Refused(_)), "{index}/{count}: {verdict:?}");
    }
    let mut births = Births::default();
    births.note(pack(0), &member(0, None));
    let mut merge = Merge::new(Told::default(), births);
    assert!(matches!(merge.judge(pack(0), member(0, None)), Verdict::Lives(_)));
    assert!(matches!(merge.judge(pack(0), member(0, None)), Verdict::Refused(_)), "named twice");
    let short = ManifestEntry { length: 3, ..member(0, None) };
    let mut births = Births::default();
    births.note(pack(0), &short);
    let verdict = Merge::new(Told::default(), births).judge(pack(0), short);
    assert!(matches!(verdict, Verdict::Refused(_)), "{verdict:?}");
}
