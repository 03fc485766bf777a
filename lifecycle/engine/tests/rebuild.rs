//! Store and catalog lost, cartridges kept: what lived comes back, and nothing that was deleted.

#![allow(clippy::unwrap_used)]

mod rig;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use catalog::RedbCatalog;
use dialect::reserved::MarkerKey;
use engine::rebuild::{self, Missing, Options, Parts, Report};
use http::Method;
use library::{CatalogId, Library};
use model::archive::ArchiveStage;
use model::bucket::Terms;
use model::catalog::{Bucket, Change};
use model::fence::Work;
use model::store::{ObjectHead, ObjectRef, ObjectStore};
use model::{Archive, BucketName, ObjectKey};
use store::{EmbeddedStore, Reserved, S3Store};
use virtual_library::VirtualLibrary;
use volume::seal::{KeyName, KeySource, Keyring, NoKeys};

use rig::{RealClock, Rig, bytes, geometry, settings, wait_for};

/// Makes a new catalog from the cartridges of a stopped rig, whose store is as it is found.
async fn rebuilt(
    folder: &Path,
    pretend_remote: bool,
    secret: u8,
    missing: Missing,
) -> Result<Report, engine::Error> {
    rebuilt_with(folder, pretend_remote, secret, missing, Arc::new(NoKeys)).await
}

async fn rebuilt_with(
    folder: &Path,
    pretend_remote: bool,
    secret: u8,
    missing: Missing,
    keys: Arc<dyn KeySource>,
) -> Result<Report, engine::Error> {
    let options = store::Options { pretend_remote, sync: false, ..store::Options::default() };
    let embedded = EmbeddedStore::open(&folder.join("store"), options).unwrap();
    let reserved =
        Reserved { bucket: BucketName::parse("tapegate-copies-test").unwrap(), catalog: "test".into() };
    let store: Arc<dyn ObjectStore> =
        Arc::new(S3Store::look(embedded, reserved, MarkerKey::new([secret; 32])));
    let machine = VirtualLibrary::open(&folder.join("library"), geometry()).unwrap();
    let drives = (0..machine.drive_count()).map(|n| machine.drive_transport(n)).collect();
    let library =
        Arc::new(Library::open(library::Config::new("main"), machine.changer_transport(), drives).unwrap());
    let libraries = BTreeMap::from([("main".to_owned(), library.clone())]);
    let progress = |_: &str, done: u64, all: u64| assert!(done <= all);
    let found = rebuild::read(&libraries, &folder.join("rebuild"), keys, None, &progress).await.unwrap();
    assert_eq!(
        found.owners().iter().map(|owner| owner.catalog).collect::<Vec<_>>(),
        [CatalogId::from_u128(42)]
    );
    let unfinished = folder.join("catalog.unfinished");
    drop(std::fs::remove_file(&unfinished));
    let parts = Parts {
        catalog: Arc::new(RedbCatalog::open(&unfinished).unwrap()),
        store,
        libraries,
        clock: Arc::new(RealClock),
        pools: settings(folder).pools,
    };
    let options = Options { catalog: CatalogId::from_u128(42), missing, incomplete: false, dry_run: false };
    let report = rebuild::rebuild(&parts, &found, options, &progress).await;
    drop(parts);
    tokio::task::spawn_blocking(move || library.shutdown(Duration::from_secs(30)).unwrap()).await.unwrap();
    if report.is_ok() {
        std::fs::rename(unfinished, folder.join("catalog.redb")).unwrap();
    }
    report
}

fn lose(folder: &Path, store: bool) {
    std::fs::remove_file(folder.join("catalog.redb")).unwrap();
    std::fs::remove_dir_all(folder.join("spool")).unwrap();
    if store {
        std::fs::remove_dir_all(folder.join("store")).unwrap();
    }
}

/// A client's write of tags, as the edge lets it through.
async fn tag(rig: &Rig, archive: &Archive, tags: &str) {
    let document = format!("<Tagging><TagSet>{tags}</TagSet></Tagging>");
    let path = format!("/{}/{}?tagging", rig.bucket, archive.key);
    assert_eq!(rig.call(Method::PUT, &path, document.as_bytes()).await.0, 200);
    rig.catalog.commit(vec![Change::Touch(archive.id)]).await.unwrap();
    rig.engine.wake().wake(Work::Touched);
}

async fn all_told(rig: &Rig) {
    wait_for("everything to be told", || async {
        let touched = rig.catalog.archives_touched(None, 1).await.unwrap();
        let untold = rig.catalog.archives_untold(None, 1).await.unwrap();
        (touched.is_empty() && untold.is_empty()).then_some(())
    })
    .await;
}

async fn inspected(rig: &Rig, key: &str) -> Option<ObjectHead> {
    let key = ObjectKey::parse(key).unwrap();
    rig.store.inspect(&ObjectRef { bucket: rig.bucket.clone(), key, version: None }).await.unwrap()
}

const SIZES: [usize; 7] = [0, 10, 1531, 1532, 100_000, 300_000, 3_500_000];

/// Objects of every size archived; one deleted, one overwritten, one with other tags.
async fn lived(folder: &Path, pretend_remote: bool) -> BTreeMap<String, (Vec<u8>, Archive, ObjectHead)> {
    let rig = Rig::start(folder, pretend_remote).await;
    rig.make_bucket().await;
    let mut objects: BTreeMap<String, Vec<u8>> =
        SIZES.iter().map(|size| (format!("object-{size}"), bytes(*size as u64, *size))).collect();
    for (key, body) in objects.iter().chain([(&"deleted".to_owned(), &bytes(77, 50_000))]) {
        rig.put(key, body).await.unwrap();
    }
    rig.put_rule().await;
    for key in objects.keys().map(String::as_str).chain(["deleted"]) {
        rig.wait_archived(key).await;
    }
    rig.delete("deleted").await.unwrap();
    let old = rig.archive_of("object-100000").await.unwrap();
    objects.insert("object-100000".into(), bytes(5, 120_000));
    rig.put("object-100000", &objects["object-100000"]).await.unwrap();
    wait_for("the new version to be archived", || async {
        let row = rig.archive_of("object-100000").await?;
        (row.id != old.id && row.state.stage() == ArchiveStage::Archived).then_some(())
    })
    .await;
    tag(&rig, &rig.archive_of("object-300000").await.unwrap(), "<Tag><Key>a</Key><Value>b c</Value></Tag>")
        .await;
    all_told(&rig).await;
    let mut lived = BTreeMap::new();
    for (key, body) in objects {
        let archive = rig.wait_archived(&key).await;
        lived.insert(key.clone(), (body, archive, inspected(&rig, &key).await.unwrap()));
    }
    rig.stop().await;
    lived
}

async fn comes_back(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let lived = lived(folder.path(), pretend_remote).await;
    lose(folder.path(), true);
    let report = rebuilt(folder.path(), pretend_remote, 7, Missing::Plant).await.unwrap();
    assert_eq!(report.unconfirmed, []);
    assert_eq!(
        (report.archived, report.planted, report.deleted),
        (SIZES.len() as u64, SIZES.len() as u64, 2)
    );
    let rig = Rig::start(folder.path(), pretend_remote).await;
    assert!(rig.archive_of("deleted").await.is_none() && rig.head("deleted").await.is_none());
    for (key, (body, before, head)) in &lived {
        let row = rig.wait_archived(key).await;
        assert_eq!(
            (row.id, row.size, row.last_modified),
            (before.id, before.size, before.last_modified),
            "{key}"
        );
        assert_eq!((&row.checksums, &row.part_bytes), (&before.checksums, &before.part_bytes), "{key}");
        assert_eq!(row.identity.as_ref().unwrap().etag, before.identity.as_ref().unwrap().etag, "{key}");
        let now = inspected(&rig, key).await.unwrap();
        assert_eq!(now.headers, head.headers, "{key}");
        assert_eq!(now.marker.as_ref().unwrap().archive, before.id, "{key}");
        if !pretend_remote {
            assert_eq!(now.last_modified, head.last_modified, "{key}");
        }
        rig.restore(&row).await;
        assert_eq!(rig.restored(row.id).await, *body, "{key}");
    }
    // The volumes go on where they ended, by the rules there were, and what is deleted now stays so.
    rig.put("another", &bytes(9, 60_000)).await.unwrap();
    rig.engine.wake().wake(Work::Rules);
    rig.wait_archived("another").await;
    rig.delete("object-1532").await.unwrap();
    wait_for("the death", || async { rig.archive_of("object-1532").await.is_none().then_some(()) }).await;
    all_told(&rig).await;
    rig.stop().await;
    lose(folder.path(), true);
    let report = rebuilt(folder.path(), pretend_remote, 7, Missing::Plant).await.unwrap();
    assert_eq!((report.archived, report.unconfirmed.len()), (SIZES.len() as u64, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_lived_comes_back_in_place() {
    comes_back(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_lived_comes_back_by_put() {
    comes_back(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_terms_of_buckets_come_back_as_they_were_told_last() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    rig.make_bucket().await;
    rig.put_rule().await;
    let keep = async |name: &str, terms: Terms| {
        let name = BucketName::parse(name).unwrap();
        let revision = rig.catalog.bucket(&name).await.unwrap().map_or(0, |row| row.revision);
        let store_rules = Some(format!("<of>{}</of>", terms.exclusive));
        let row = Bucket { revision, terms: Some(terms), store_rules, ..Bucket::new(name) };
        rig.catalog.commit(vec![Change::Bucket(row)]).await.unwrap();
    };
    keep("elsewhere", Terms::MANAGED).await;
    rig.put("one", &bytes(1, 50_000)).await.unwrap();
    rig.wait_archived("one").await;
    let last = Terms { exclusive: true, ..Terms::UNMANAGED };
    keep("elsewhere", last).await;
    rig.put("two", &bytes(2, 50_000)).await.unwrap();
    rig.wait_archived("two").await;
    // The rules are taken back, and the next journal tells it.
    let row = rig.catalog.bucket(&rig.bucket).await.unwrap().unwrap();
    rig.catalog.commit(vec![Change::Bucket(Bucket { lifecycle: None, ..row })]).await.unwrap();
    rig.delete("two").await.unwrap();
    wait_for("the death", || async { rig.archive_of("two").await.is_none().then_some(()) }).await;
    all_told(&rig).await;
    rig.stop().await;

    lose(folder.path(), true);
    let report = rebuilt(folder.path(), false, 7, Missing::Plant).await.unwrap();
    assert_eq!((report.buckets_kept, report.buckets_made), (1, 2), "{report:?}");
    assert!(report.buckets_told.is_some());
    let rig = Rig::start(folder.path(), false).await;
    assert_eq!(rig.catalog.bucket(&rig.bucket).await.unwrap().unwrap().lifecycle, None);
    let elsewhere = BucketName::parse("elsewhere").unwrap();
    let row = rig.catalog.bucket(&elsewhere).await.unwrap().unwrap();
    assert_eq!((row.terms, row.store_rules.as_deref()), (Some(last), Some("<of>true</of>")));
    assert!(rig.store.buckets().await.unwrap().contains(&elsewhere));

    // On a store that was kept a bucket that is not there was deleted.
    assert_eq!(rig.call(Method::DELETE, "/elsewhere", &[]).await.0, 204);
    rig.stop().await;
    lose(folder.path(), false);
    let report = rebuilt(folder.path(), false, 7, Missing::End).await.unwrap();
    assert_eq!((report.found, report.buckets_kept, report.buckets_made), (1, 0, 0), "{report:?}");
}

/// The store was kept, and what happened there since no journal told it.
async fn meets_its_store(pretend_remote: bool) {
    let folder = tempfile::tempdir().unwrap();
    let lived = lived(folder.path(), pretend_remote).await;
    lose(folder.path(), false);
    // Nobody's secret is left, and clients went on by themselves.
    {
        let rig = Rig::start(folder.path(), pretend_remote).await;
        assert_eq!(rig.call(Method::DELETE, "/bucket/object-10", &[]).await.0, 204);
        assert_eq!(rig.call(Method::PUT, "/bucket/object-1531", b"newer").await.0, 200);
        rig.stop().await;
        lose(folder.path(), false);
    }
    let report = rebuilt(folder.path(), pretend_remote, 8, Missing::End).await.unwrap();
    assert_eq!(report.unconfirmed, []);
    let all = SIZES.len() as u64;
    assert_eq!((report.signed, report.missing, report.replaced, report.planted), (all - 2, 1, 1, 0));
    // Signed with the new key they are believed; a second rebuild finds nothing to do.
    std::fs::remove_file(folder.path().join("catalog.redb")).unwrap();
    let report = rebuilt(folder.path(), pretend_remote, 8, Missing::End).await.unwrap();
    assert_eq!((report.found, report.signed), (all - 2, 0));
    assert!(lived.len() as u64 == all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_kept_is_believed_in_place() {
    meets_its_store(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_kept_is_believed_by_put() {
    meets_its_store(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_lacks_most_is_not_taken_for_one_that_was_emptied() {
    let folder = tempfile::tempdir().unwrap();
    lived(folder.path(), false).await;
    lose(folder.path(), true);
    let refused = rebuilt(folder.path(), false, 7, Missing::End).await;
    assert!(matches!(refused, Err(engine::Error::Rebuild { .. })), "{refused:?}");
    let report = rebuilt(folder.path(), false, 7, Missing::EndAll).await.unwrap();
    assert_eq!((report.archived, report.missing), (0, SIZES.len() as u64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_come_back_under_their_ids_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(folder.path(), false).await;
    rig.make_bucket().await;
    rig.put("key", &bytes(1, 40_000)).await.unwrap();
    let enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(rig.call(Method::PUT, "/bucket?versioning", enabled).await.0, 200);
    rig.put_rule().await;
    let mut rows = vec![rig.wait_archived("key").await];
    for seed in 2..5 {
        rig.put("key", &bytes(seed, 40_000)).await.unwrap();
        let known: Vec<_> = rows.iter().map(|row| row.id).collect();
        let row = wait_for("the newer version to be archived", || async {
            let row = rig.archive_of("key").await?;
            let new = !known.contains(&row.id) && row.state.stage() == ArchiveStage::Archived;
            (new && !row.touched).then_some(row)
        })
        .await;
        rows.push(row);
    }
    let key = ObjectKey::parse("key").unwrap();
    let before = rig.store.versions(&rig.bucket, &key, 10).await.unwrap();
    assert_eq!(before.len(), 4);
    all_told(&rig).await;
    rig.stop().await;
    lose(folder.path(), true);
    let report = rebuilt(folder.path(), false, 7, Missing::Plant).await.unwrap();
    assert_eq!((report.archived, report.unconfirmed.len()), (4, 0));
    let rig = Rig::start(folder.path(), false).await;
    assert_eq!(rig.store.versions(&rig.bucket, &key, 10).await.unwrap(), before);
    for (row, seed) in rows.iter().zip(1..) {
        let version = row.identity.as_ref().unwrap().version.clone();
        let at = ObjectRef { bucket: rig.bucket.clone(), key: key.clone(), version };
        let head = rig.store.head(&at).await.unwrap().unwrap();
        assert_eq!(head.marker.unwrap().archive, row.id);
        rig.restore(row).await;
        assert_eq!(rig.restored(row.id).await, bytes(seed, 40_000));
    }
    // What is written now is newer than all of them.
    rig.put("key", b"newest").await.unwrap();
    assert_eq!(rig.head("key").await.unwrap().size, 6);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sealed_comes_back_with_its_key_alone() {
    let folder = tempfile::tempdir().unwrap();
    let name: KeyName = "vault".parse().unwrap();
    let mut keyring = Keyring::default();
    keyring.create(&name, 0, "2026-12-01T00:00:00Z").unwrap();
    let start = async || {
        let mut settings = settings(folder.path());
        settings.pools.values_mut().for_each(|pool| pool.key = Some(name.clone()));
        let rig = Rig::start_with(folder.path(), false, settings, |service| service).await;
        rig.set_keys(&keyring);
        rig
    };
    let rig = start().await;
    rig.make_bucket().await;
    let objects = [("small", bytes(1, 700)), ("large", bytes(2, 90_000)), ("pieces", bytes(3, 2_500_000))];
    rig.put_rule().await;
    for (key, body) in &objects {
        rig.put(key, body).await.unwrap();
    }
    for (key, _) in &objects {
        rig.wait_archived(key).await;
    }
    tag(&rig, &rig.archive_of("large").await.unwrap(), "<Tag><Key>a</Key><Value>b c</Value></Tag>").await;
    all_told(&rig).await;
    rig.stop().await;
    lose(folder.path(), true);
    let report = rebuilt(folder.path(), false, 7, Missing::Plant).await.unwrap();
    assert_eq!((report.archived, report.buckets_kept), (0, 0));
    assert!(report.unconfirmed.iter().any(|one| one.lost && one.reason.contains("vault:1")), "{report:?}");
    std::fs::remove_file(folder.path().join("catalog.redb")).unwrap();
    let keys = Arc::new(keyring.clone());
    let report = rebuilt_with(folder.path(), false, 7, Missing::Plant, keys).await.unwrap();
    assert_eq!((report.archived, report.unconfirmed.len()), (objects.len() as u64, 0), "{report:?}");
    assert_eq!(report.buckets_kept, 1);
    let rig = start().await;
    for (key, body) in &objects {
        let row = rig.wait_archived(key).await;
        rig.restore(&row).await;
        assert_eq!(rig.restored(row.id).await, *body, "{key}");
    }
    let tags = inspected(&rig, "large").await.unwrap().headers;
    assert!(tags.contains(&("x-amz-tagging".to_owned(), "a=b%20c".to_owned())), "{tags:?}");
    rig.stop().await;
}
