//! Cartridges that leave the library and come back, and restores that wait for them.

#![allow(clippy::unwrap_used)]

mod rig;

use std::path::PathBuf;
use std::time::Duration;

use engine::{Arrival, Error, Export, ExportOrder, Task, TaskKind};
use library::{CatalogId, Library, Overwrite, VolumeIdentity, VolumeUuid};
use model::catalog::Change;
use model::restore::RestoreStage;
use model::volume::{Leaving, Volume, VolumeStage, VolumeState};
use model::{Archive, PoolName, VolumeId};
use rig::{RealClock, Rig, bytes, settings, wait_for};
use virtual_library::{Barcode, Place, VirtualLibrary};

use model::clock::Clock;

const SHELF: &str = "shelf 3";

fn order(only_copy: bool) -> ExportOrder {
    ExportOrder { place: SHELF.to_owned(), only_copy }
}

async fn start(folder: &std::path::Path) -> Rig {
    let rig = Rig::start(folder, false).await;
    rig.make_bucket().await;
    rig.put_rule().await;
    rig
}

/// An archive whose only copy was carried away, and where its cartridge is.
struct Away {
    rig: Rig,
    archive: Archive,
    body: Vec<u8>,
    volume: Volume,
    outside: PathBuf,
}

async fn away(folder: &std::path::Path) -> Away {
    let rig = start(folder).await;
    let body = bytes(1, 300_000);
    let archive = archived(&rig, "away", &body).await;
    let volume = volumes(&rig, &archive).await.remove(0);
    out(&rig, volume.id, true).await;
    let outside = carried_away(&rig, &volume);
    rig.restore(&archive).await;
    Away { rig, archive, body, volume, outside }
}

/// With a copy of everything in a sibling pool.
async fn start_with_copies(folder: &std::path::Path) -> Rig {
    let mut settings = settings(folder);
    let [first, second] = ["glacier", "sibling"].map(|name| PoolName::parse(name).unwrap());
    let sibling = settings.pools[&first].clone();
    settings.pools.get_mut(&first).unwrap().copies.push(second.clone());
    settings.pools.insert(second, sibling);
    let rig = Rig::start_with(folder, false, settings, |service| service).await;
    rig.make_bucket().await;
    rig.put_rule().await;
    rig
}

async fn archived(rig: &Rig, key: &str, body: &[u8]) -> Archive {
    rig.put(key, body).await.unwrap();
    rig.wait_archived(key).await
}

/// The volumes of an archive's copies, by number.
async fn volumes(rig: &Rig, archive: &Archive) -> Vec<Volume> {
    let mut volumes = Vec::new();
    for copy in rig.catalog.copies_of(archive.extents[0].pack).await.unwrap() {
        volumes.push(row(rig, copy.volume.unwrap()).await);
    }
    volumes
}

async fn row(rig: &Rig, id: VolumeId) -> Volume {
    rig.catalog.volume(id).await.unwrap().unwrap()
}

async fn out(rig: &Rig, id: VolumeId, only_copy: bool) -> Export {
    wait_for("the volume to be out", || async {
        Some(rig.engine.export(id, &order(only_copy)).await.unwrap()).filter(|export| export.done)
    })
    .await
}

fn barcode(volume: &Volume) -> Barcode {
    Barcode::parse(&volume.barcode).unwrap()
}

fn carried_away(rig: &Rig, volume: &Volume) -> PathBuf {
    rig.machine.remove(&barcode(volume)).unwrap()
}

async fn task(rig: &Rig, kind: TaskKind) -> Task {
    wait_for("a task", || async {
        rig.engine.tasks().await.unwrap().into_iter().find(|task| task.kind == kind)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_waits_for_its_cartridge_and_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let body = bytes(1, 300_000);
    let archive = archived(&rig, "away", &body).await;
    let volume = volumes(&rig, &archive).await.remove(0);
    let export = out(&rig, volume.id, true).await;
    assert!(export.in_mail_slot && export.packs == 1 && export.bytes > 300_000, "{export:?}");
    let VolumeState::Offline { place, was } = row(&rig, volume.id).await.state else { panic!("it is out") };
    assert_eq!((place.as_str(), was.stage()), (SHELF, VolumeStage::Filling));
    let carried = task(&rig, TaskKind::TakeOut).await;
    assert_eq!((carried.kind, carried.mail_slot, carried.restores), (TaskKind::TakeOut, export.element, 0));

    rig.restore(&archive).await;
    let wanted = wait_for("the restore to wait", || async {
        rig.engine.tasks().await.unwrap().into_iter().find(|task| task.kind == TaskKind::BringIn)
    })
    .await;
    assert_eq!((wanted.barcode.as_str(), wanted.place.as_str()), (volume.barcode.as_str(), SHELF));
    assert_eq!((wanted.restores, wanted.bytes), (1, 300_000));
    let waits = (volume.barcode.clone(), SHELF.to_owned());
    assert_eq!(rig.engine.waited_for(archive.id).await.unwrap(), [waits]);
    let outside = carried_away(&rig, &volume);
    let job = rig.catalog.restore_of(archive.id).await.unwrap().unwrap();
    assert_eq!((job.state.stage(), job.failures), (RestoreStage::Queued, 0));

    rig.machine.insert(&outside, Place::MailSlot).unwrap();
    let arrived = rig.engine.import(None, None).await.unwrap();
    assert_eq!((arrived.len(), arrived[0].kind, arrived[0].volume), (1, Arrival::Back, Some(volume.id)));
    assert_eq!(rig.restored(archive.id).await, body);
    assert_eq!(rig.engine.tasks().await.unwrap(), []);
    // It is what it was: the next pack goes on it.
    let next = archived(&rig, "next", &bytes(2, 300_000)).await;
    assert_eq!(volumes(&rig, &next).await[0].id, volume.id);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn found_behind_the_door_it_is_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let Away { rig, archive, body, volume, outside } = away(folder.path()).await;
    assert_eq!(task(&rig, TaskKind::BringIn).await.volume, volume.id);
    rig.machine.insert(&outside, Place::Slot).unwrap();
    assert_eq!(rig.restored(archive.id).await, body);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_copy_stays_and_one_of_two_may_go() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start_with_copies(folder.path()).await;
    let body = bytes(1, 300_000);
    let archive = archived(&rig, "key", &body).await;
    let [first, second] = volumes(&rig, &archive).await.try_into().unwrap();
    out(&rig, first.id, false).await;
    carried_away(&rig, &first);
    let refused = rig.engine.export(second.id, &order(false)).await;
    let Err(Error::OnlyCopy { packs: 1, named, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(named, archive.extents[0].pack.to_string());
    assert_eq!(row(&rig, second.id).await.leaving, None);
    // The copy that stayed serves.
    rig.restore(&archive).await;
    assert_eq!(rig.restored(archive.id).await, body);
    // Once the mail slot was looked at again.
    wait_for("no task", || async { rig.engine.tasks().await.unwrap().is_empty().then_some(()) }).await;
    // Nothing that lives is on it any more.
    rig.delete("key").await.unwrap();
    wait_for("the archive to die", || async {
        (!rig.catalog.archive(archive.id).await.unwrap().unwrap().state.stage().is_live()).then_some(())
    })
    .await;
    out(&rig, second.id, false).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_both_copies_away_either_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start_with_copies(folder.path()).await;
    let body = bytes(1, 300_000);
    let archive = archived(&rig, "key", &body).await;
    let [first, second] = volumes(&rig, &archive).await.try_into().unwrap();
    for volume in [&first, &second] {
        out(&rig, volume.id, true).await;
    }
    let outside = [&first, &second].map(|volume| carried_away(&rig, volume));
    rig.restore(&archive).await;
    let task = task(&rig, TaskKind::BringIn).await;
    assert_eq!((task.volume, task.instead), (first.id, vec![(second.barcode.clone(), SHELF.to_owned())]));
    rig.machine.insert(&outside[1], Place::MailSlot).unwrap();
    let wanted = library::Barcode::parse(&second.barcode).unwrap();
    assert_eq!(rig.engine.import(None, Some(&wanted)).await.unwrap()[0].kind, Arrival::Back);
    assert_eq!(rig.restored(archive.id).await, body);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_under_its_barcode_goes_back_into_the_mail_slot() {
    let folder = tempfile::tempdir().unwrap();
    let Away { rig, archive, body, volume, outside } = away(folder.path()).await;
    // The label on the outside is the volume's, the cartridge is not.
    let [hidden, stranger] = ["hidden", &volume.barcode].map(|name| folder.path().join(name));
    std::fs::rename(&outside, &hidden).unwrap();
    let blank = Barcode::parse("NEW001L9").unwrap();
    rig.machine.insert_blank(&blank, Place::MailSlot).unwrap();
    std::fs::rename(rig.machine.remove(&blank).unwrap(), &stranger).unwrap();
    rig.machine.insert(&stranger, Place::MailSlot).unwrap();
    let arrived = rig.engine.import(None, None).await.unwrap();
    assert_eq!((arrived[0].kind, arrived[0].volume), (Arrival::Mismatch, None), "{arrived:?}");
    assert_eq!(task(&rig, TaskKind::BringIn).await.volume, volume.id, "still waited for");
    assert_eq!(row(&rig, volume.id).await.state.stage(), VolumeStage::Offline);
    // Out of the mail slot with it, and the right one in.
    let stranger = carried_away(&rig, &volume);
    std::fs::rename(stranger, folder.path().join("stranger")).unwrap();
    std::fs::rename(&hidden, &outside).unwrap();
    rig.machine.insert(&outside, Place::MailSlot).unwrap();
    assert_eq!(rig.engine.import(None, None).await.unwrap()[0].kind, Arrival::Back);
    assert_eq!(rig.restored(archive.id).await, body);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_carried_out_after_a_restart_at_any_step() {
    for step in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let rig = start(folder.path()).await;
        let body = bytes(1, 300_000);
        let archive = archived(&rig, "away", &body).await;
        let volume = volumes(&rig, &archive).await.remove(0);
        // A process that ended with the order written down, before or after the robot did its part.
        let library = rig.library.clone();
        let code = library::Barcode::parse(&volume.barcode).unwrap();
        rig.engine.stop().await;
        let mut row_now = row(&rig, volume.id).await;
        row_now.unclean = step == 1;
        let place = SHELF.to_owned();
        row_now.leaving = Some(Leaving { place, only_copy: true, since: RealClock.now() });
        rig.catalog.commit(vec![Change::Volume(row_now)]).await.unwrap();
        if step < 2 {
            drop(library);
        } else {
            tokio::task::spawn_blocking(move || library.export(&code).unwrap()).await.unwrap();
        }
        let outside = (step == 3).then(|| carried_away(&rig, &volume));
        rig.stop().await;

        let rig = Rig::start(folder.path(), false).await;
        wait_for("the volume to be out", || async {
            (row(&rig, volume.id).await.state.stage() == VolumeStage::Offline).then_some(())
        })
        .await;
        let row_now = row(&rig, volume.id).await;
        assert_eq!((row_now.leaving, row_now.unclean), (None, false), "step {step}");
        let outside = outside.unwrap_or_else(|| carried_away(&rig, &volume));
        rig.restore(&archive).await;
        assert_eq!(task(&rig, TaskKind::BringIn).await.volume, volume.id);
        rig.machine.insert(&outside, Place::MailSlot).unwrap();
        assert_eq!(rig.engine.import(None, None).await.unwrap()[0].kind, Arrival::Back);
        assert_eq!(rig.restored(archive.id).await, body);
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_can_be_taken_back_and_orders_wait_for_a_mail_slot() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    archived(&rig, "key", &bytes(1, 300_000)).await;
    // As many strangers as there are mail slots.
    for n in 0..rig.library.inventory().mail_slots.len() {
        let blank = Barcode::parse(&format!("NEW00{n}L9")).unwrap();
        rig.machine.insert_blank(&blank, Place::MailSlot).unwrap();
    }
    let volume = rig.catalog.volumes().await.unwrap().into_iter().find(|row| row.pool.is_some()).unwrap();
    let waits =
        wait_for("a reason", || async { rig.engine.export(volume.id, &order(true)).await.unwrap().waits })
            .await;
    assert!(waits.contains("every mail slot is full; take out NEW000L9"), "{waits}");
    let kept = rig.engine.keep(volume.id).await.unwrap();
    assert!(kept.done && kept.volume.state.stage() == VolumeStage::Filling);
    assert!(matches!(
        rig.engine.export(volume.id, &ExportOrder { place: "\n".into(), only_copy: true }).await,
        Err(Error::Order { .. })
    ));
    rig.machine.remove(&Barcode::parse("NEW000L9").unwrap()).unwrap();
    out(&rig, volume.id, true).await;
    assert!(matches!(rig.engine.keep(volume.id).await, Err(Error::Order { .. })));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cartridge_is_labelled_when_somebody_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let volume = wait_for("a scratch volume", || async {
        let rows = rig.catalog.volumes().await.unwrap();
        rows.into_iter().find(|row| row.state.stage() == VolumeStage::Scratch)
    })
    .await;
    let code = library::Barcode::parse(&volume.barcode).unwrap();
    let pool = PoolName::parse("glacier").ok();
    let label = |overwrite| rig.engine.label("main", &code, pool.clone(), overwrite);
    assert!(matches!(label(None).await, Err(Error::Order { .. })), "it is a volume already");
    assert!(matches!(label(Some(volume.id)).await, Err(Error::Order { .. })));
    let mut retired = row(&rig, volume.id).await;
    retired.advance(VolumeState::Retired);
    rig.catalog.commit(vec![Change::Volume(retired)]).await.unwrap();
    let refused = label(None).await;
    let named = matches!(refused, Err(Error::Library(library::Error::NotBlank { found: Some(_), .. })));
    assert!(named, "{refused:?}");
    let new = label(Some(volume.id)).await.unwrap();
    assert_eq!((new.state.stage(), &new.pool, new.barcode), (VolumeStage::Scratch, &pool, volume.barcode));
    let unknown = rig.engine.label("main", &code, PoolName::parse("none").ok(), None).await;
    assert!(matches!(unknown, Err(Error::Order { .. })));
    assert_ne!(new.id, volume.id);
    rig.stop().await;
}

/// The folder of a cartridge that is a volume of another catalog.
fn foreign(folder: &std::path::Path, barcode: &Barcode) -> PathBuf {
    let machine = VirtualLibrary::open(folder, rig::geometry()).unwrap();
    machine.insert_blank(barcode, Place::Slot).unwrap();
    let drives = vec![machine.drive_transport(0)];
    let library = Library::open(library::Config::new("other"), machine.changer_transport(), drives).unwrap();
    let identity = VolumeIdentity {
        uuid: VolumeUuid::from_u128(7),
        catalog_id: CatalogId::from_u128(7),
        name: "theirs".to_owned(),
    };
    let code = library::Barcode::parse(barcode.as_str()).unwrap();
    library.label(&code, identity, Overwrite::Never).unwrap();
    library.shutdown(Duration::from_secs(30)).unwrap();
    machine.remove(barcode).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_arrives_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path()).await;
    let [theirs, blank, cleaner] =
        ["THEIR1L9", "NEW001L9", "CLN001L1"].map(|name| Barcode::parse(name).unwrap());
    let (elsewhere, name) = (folder.path().join("elsewhere"), theirs.clone());
    let outside = tokio::task::spawn_blocking(move || foreign(&elsewhere, &name)).await.unwrap();
    make_room(&rig).await;
    rig.machine.insert(&outside, Place::MailSlot).unwrap();
    let arrived = rig.engine.import(Some("main"), None).await.unwrap().remove(0);
    assert_eq!((arrived.kind, arrived.volume), (Arrival::Foreign, None));
    let code = library::Barcode::parse(theirs.as_str()).unwrap();
    let refused = rig.engine.label("main", &code, None, None).await;
    assert!(matches!(refused, Err(Error::Library(library::Error::NotBlank { .. }))), "{refused:?}");
    for (barcode, kind) in [(&blank, Arrival::Blank), (&cleaner, Arrival::Cleaning)] {
        make_room(&rig).await;
        rig.machine.insert_blank(barcode, Place::MailSlot).unwrap();
        assert_eq!(rig.engine.import(None, None).await.unwrap()[0].kind, kind);
    }
    assert!(matches!(
        rig.engine.import(None, library::Barcode::parse("NOWHERE").as_ref()).await,
        Err(Error::Order { .. })
    ));
    rig.stop().await;
}

/// Takes one of the library's own cartridges away.
async fn make_room(rig: &Rig) {
    wait_for("a cartridge in a slot", || async {
        let slots = rig.library.inventory().slots;
        let mut own = slots.into_iter().filter_map(|slot| slot.barcode);
        let own = own.find(|barcode| barcode.as_str().starts_with("TG"))?;
        rig.machine.remove(&Barcode::parse(own.as_str()).unwrap()).ok()
    })
    .await;
}
