//! What every adapter must do, each promise on a fresh catalog.
#![allow(clippy::unwrap_used)]
#![allow(clippy::cast_possible_truncation)]

mod finding;
pub mod naive;
pub mod samples;

use model::archive::ArchiveStage;
use model::catalog::{Bucket, Catalog, CatalogError, Change};
use model::pack::{CopyEnd, PackCopyState};
use model::{Archive, ArchiveId, ArchiveState, PackId, RestoreState, Timestamp};

use samples::{archive, bucket, bucket_name, copy, extent, object_key, pack, restore, volume};

/// Runs every check on a catalog of its own.
pub async fn check<C: Catalog + 'static>(mut fresh: impl FnMut() -> C) {
    rows_come_back_with_the_next_revision(&fresh()).await;
    a_stale_writer_conflicts_and_nothing_is_written(&fresh()).await;
    of_two_writers_one_wins(&fresh()).await;
    a_touch_makes_older_writes_stale(&fresh()).await;
    a_touch_of_history_does_nothing(&fresh()).await;
    a_row_may_go_on_within_a_commit(&fresh()).await;
    finding::keys_are_told_apart(&fresh()).await;
    finding::listings_are_pages(&fresh()).await;
    finding::indexes_follow_rows(&fresh()).await;
    finding::copies_page_by_whole_packs(&fresh()).await;
    finding::the_latest_restore_is_found(&fresh()).await;
    finding::counts_are_those_of_the_rows(&fresh()).await;
    buckets_remember_their_archives(&fresh()).await;
    history_is_forgotten_when_nothing_holds_it(&fresh()).await;
    illegal_steps_panic_and_write_nothing(fresh()).await;
    a_full_commit_fits(&fresh()).await;
}

fn conflict(result: Result<(), CatalogError>) {
    assert!(matches!(result, Err(CatalogError::Conflict { .. })), "{result:?}");
}

fn missing(result: Result<(), CatalogError>) {
    assert!(matches!(result, Err(CatalogError::Missing { .. })), "{result:?}");
}

async fn stored(catalog: &dyn Catalog, id: ArchiveId) -> Archive {
    catalog.archive(id).await.unwrap().unwrap()
}

/// Writes a row and moves it to its next revision, as callers do.
async fn save(catalog: &dyn Catalog, row: &mut Archive) {
    catalog.commit(vec![Change::Archive(row.clone())]).await.unwrap();
    row.revision += 1;
}

async fn rows_come_back_with_the_next_revision(catalog: &dyn Catalog) {
    let (a, p, v) = (archive(1, "photos", "a", 10), pack(1, true), volume(1));
    let (c, r) = (copy(1, 0, None, PackCopyState::Spooled), restore(1, a.id, RestoreState::Accepted));
    catalog
        .commit(vec![
            Change::Archive(a.clone()),
            Change::Pack(p.clone()),
            Change::PackCopy(c.clone()),
            Change::Volume(v.clone()),
            Change::Restore(r.clone()),
        ])
        .await
        .unwrap();
    assert_eq!(stored(catalog, a.id).await, Archive { revision: 1, ..a.clone() });
    let mut expected = p.clone();
    expected.revision = 1;
    assert_eq!(catalog.pack(p.id).await.unwrap(), Some(expected));
    assert_eq!(catalog.copies_of(p.id).await.unwrap()[0].revision, 1);
    assert_eq!(catalog.volumes().await.unwrap()[0].barcode, v.barcode);
    assert_eq!(catalog.volume(v.id).await.unwrap().unwrap().revision, 1);
    assert_eq!(catalog.restore(r.id).await.unwrap().unwrap().archive, a.id);
    assert_eq!(catalog.archive(ArchiveId::new(9, 9)).await.unwrap(), None);
}

async fn a_stale_writer_conflicts_and_nothing_is_written(catalog: &dyn Catalog) {
    let mut row = archive(1, "photos", "a", 10);
    save(catalog, &mut row).await;
    let again = archive(1, "photos", "a", 10);
    let (other, unknown) =
        (archive(2, "photos", "b", 1), Archive { revision: 4, ..archive(3, "photos", "c", 1) });
    conflict(catalog.commit(vec![Change::Archive(other.clone()), Change::Archive(again)]).await);
    conflict(catalog.commit(vec![Change::Archive(other.clone()), Change::Archive(unknown)]).await);
    assert_eq!(catalog.archive(other.id).await.unwrap(), None);
    assert_eq!(catalog.archives_in(ArchiveStage::Due, None, 10).await.unwrap().len(), 1);
    save(catalog, &mut row).await;
    assert_eq!(stored(catalog, row.id).await.revision, 2);
}

async fn of_two_writers_one_wins(catalog: &dyn Catalog) {
    let mut row = archive(1, "photos", "a", 10);
    save(catalog, &mut row).await;
    let (mut one, mut other) = (row.clone(), row.clone());
    (one.size, other.size) = (11, 12);
    let (first, second) = tokio::join!(
        catalog.commit(vec![Change::Archive(one)]),
        catalog.commit(vec![Change::Archive(other)])
    );
    assert_eq!([first.is_ok(), second.is_ok()].iter().filter(|ok| **ok).count(), 1);
    conflict(first.and(second));
    assert_eq!(stored(catalog, row.id).await.revision, 2);
}

async fn a_touch_makes_older_writes_stale(catalog: &dyn Catalog) {
    let mut row = archive(1, "photos", "a", 10);
    save(catalog, &mut row).await;
    catalog.commit(vec![Change::Touch(row.id)]).await.unwrap();
    conflict(catalog.commit(vec![Change::Archive(row.clone())]).await);
    let mut touched = stored(catalog, row.id).await;
    assert!(touched.touched);
    assert_eq!(catalog.archives_touched(None, 10).await.unwrap(), vec![touched.clone()]);

    let looked = touched.clone();
    catalog.commit(vec![Change::Touch(row.id)]).await.unwrap();
    conflict(catalog.commit(vec![Change::Archive(Archive { touched: false, ..looked })]).await);
    touched = stored(catalog, row.id).await;
    touched.touched = false;
    save(catalog, &mut touched).await;
    assert!(catalog.archives_touched(None, 10).await.unwrap().is_empty());
}

async fn a_touch_of_history_does_nothing(catalog: &dyn Catalog) {
    let mut row = archive(1, "photos", "a", 10);
    row.state = ArchiveState::Withdrawn;
    save(catalog, &mut row).await;
    let never = ArchiveId::new(9, 9);
    catalog.commit(vec![Change::Touch(row.id), Change::Touch(never)]).await.unwrap();
    assert_eq!(stored(catalog, row.id).await, row);
    assert!(catalog.archives_touched(None, 10).await.unwrap().is_empty());
}

async fn a_row_may_go_on_within_a_commit(catalog: &dyn Catalog) {
    let row = archive(1, "photos", "a", 10);
    let next = Archive { revision: 1, state: ArchiveState::Withdrawn, ..row.clone() };
    let stale = Archive { revision: 1, ..row.clone() };
    conflict(
        catalog
            .commit(vec![Change::Archive(row.clone()), Change::Touch(row.id), Change::Archive(stale)])
            .await,
    );
    catalog.commit(vec![Change::Archive(row.clone()), Change::Archive(next)]).await.unwrap();
    assert_eq!(stored(catalog, row.id).await.revision, 2);
    assert!(catalog.archives_in(ArchiveStage::Due, None, 10).await.unwrap().is_empty());
}

async fn buckets_remember_their_archives(catalog: &dyn Catalog) {
    let name = bucket_name("photos");
    assert_eq!(catalog.bucket(&name).await.unwrap(), None);
    let mut row = archive(1, "photos", "a", 10);
    save(catalog, &mut row).await;
    let made = catalog.bucket(&name).await.unwrap().unwrap();
    assert_eq!(made, Bucket { has_archives: true, ..bucket("photos") });

    // Whoever writes the bucket need not know, neither before nor after.
    catalog.commit(vec![Change::Bucket(bucket("photos"))]).await.unwrap();
    let written = catalog.bucket(&name).await.unwrap().unwrap();
    assert_eq!((written.revision, written.has_archives), (1, true));
    conflict(catalog.commit(vec![Change::Bucket(bucket("photos"))]).await);
    catalog.commit(vec![Change::Bucket(bucket("music"))]).await.unwrap();
    let names: Vec<_> = catalog.buckets().await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, [bucket_name("music"), name.clone()]);
    save(catalog, &mut archive(2, "music", "a", 1)).await;
    let music = catalog.bucket(&bucket_name("music")).await.unwrap().unwrap();
    assert_eq!((music.revision, music.has_archives), (1, true));

    row.state = ArchiveState::Withdrawn;
    catalog.commit(vec![Change::Archive(row), Change::ForgetBucket(name.clone())]).await.unwrap();
    assert_eq!(catalog.bucket(&name).await.unwrap(), None);
    missing(catalog.commit(vec![Change::ForgetBucket(name)]).await);
}

async fn history_is_forgotten_when_nothing_holds_it(catalog: &dyn Catalog) {
    let mut row = archive(1, "photos", "a", 10);
    row.state = ArchiveState::Dead;
    row.extents = vec![extent(PackId::new(1, 0))];
    let dead = copy(1, 0, None, PackCopyState::Dead { why: CopyEnd::Unused });
    let until = Timestamp::from_seconds(9);
    let (over, copied) =
        (restore(1, row.id, RestoreState::Lapsed), restore(2, row.id, RestoreState::Copied { until }));
    catalog
        .commit(vec![
            Change::Archive(row.clone()),
            Change::PackCopy(dead),
            Change::Restore(over.clone()),
            Change::Restore(copied.clone()),
        ])
        .await
        .unwrap();
    catalog.commit(vec![Change::ForgetArchive(row.id)]).await.unwrap();
    assert_eq!(catalog.archive(row.id).await.unwrap(), None);
    assert!(catalog.archives_of_pack(PackId::new(1, 0), None, 9).await.unwrap().is_empty());
    assert_eq!(catalog.restore(over.id).await.unwrap(), None);
    assert!(catalog.restore(copied.id).await.unwrap().is_some(), "its copy is still to be removed");
    missing(catalog.commit(vec![Change::ForgetArchive(row.id)]).await);

    let declared = Archive { state: ArchiveState::Declared, ..archive(2, "photos", "b", 0) };
    catalog.commit(vec![Change::Archive(declared.clone())]).await.unwrap();
    catalog.commit(vec![Change::ForgetArchive(declared.id)]).await.unwrap();
    assert!(catalog.archives_at(&declared.bucket, &declared.key).await.unwrap().is_empty());
}

async fn illegal_steps_panic_and_write_nothing<C: Catalog + 'static>(catalog: C) {
    let catalog = std::sync::Arc::new(catalog);
    let mut row = archive(1, "photos", "a", 10);
    save(&*catalog, &mut row).await;
    let kept = Archive {
        state: ArchiveState::Dead,
        extents: vec![extent(PackId::new(1, 0))],
        ..archive(2, "photos", "b", 1)
    };
    let held = copy(1, 0, None, PackCopyState::Spooled);
    catalog.commit(vec![Change::Archive(kept.clone()), Change::PackCopy(held)]).await.unwrap();
    let cases = [
        (
            Change::Archive(Archive { state: ArchiveState::Archived, ..row.clone() }),
            format!("archive {} may not go from Due to Archived", row.id),
        ),
        (Change::ForgetArchive(kept.id), format!("pack {} still holds it", PackId::new(1, 0))),
        (Change::ForgetBucket(row.bucket.clone()), "it has live archives".to_owned()),
    ];
    for (change, expected) in cases {
        let catalog = catalog.clone();
        let other = archive(3, "photos", "c", 1);
        let step = async move { catalog.commit(vec![Change::Archive(other), change]).await };
        let panic = tokio::spawn(step).await.unwrap_err().into_panic();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains(&expected), "{text}");
    }
    assert_eq!(stored(&*catalog, row.id).await, row);
    assert_eq!(catalog.archive(ArchiveId::new(3, 0)).await.unwrap(), None);
}

async fn a_full_commit_fits(catalog: &dyn Catalog) {
    let rows = model::limits::TRANSACTION_ROWS_MAX as u64;
    let key = |n: u64| format!("{n:05}");
    let changes = (0..rows).map(|n| Change::Archive(archive(n, "photos", &key(n), n))).collect();
    catalog.commit(changes).await.unwrap();
    let keys: Vec<_> = (0..1000).map(|n| object_key(&key(n * 2))).collect();
    let each = catalog.archives_at_each(&bucket_name("photos"), &keys).await.unwrap();
    assert!(each.iter().zip(0..).all(|(found, n)| found[0].size == n * 2));
    assert_eq!(catalog.counts().await.unwrap().archives[1].1, rows);
}
