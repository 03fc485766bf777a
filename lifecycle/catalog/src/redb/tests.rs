//! What the file adds to the port: it is there again, groups do not mix, failures are final.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use model::catalog::{Catalog, CatalogError, Change};
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::conformance::samples::{archive, bucket, bucket_name};
use crate::conformance::{self, naive};

fn open(folder: &TempDir) -> RedbCatalog {
    RedbCatalog::open(folder.path().join("catalog.redb")).unwrap()
}

#[tokio::test]
async fn conforms() {
    let folder = TempDir::new().unwrap();
    let number = Cell::new(0);
    conformance::check(|| {
        number.set(number.get() + 1);
        RedbCatalog::open(folder.path().join(format!("{}.redb", number.get()))).unwrap()
    })
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn answers_as_plain_rows_would(history in naive::history()) {
        let folder = TempDir::new().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let reopen = |book| {
            drop(book);
            open(&folder)
        };
        runtime.block_on(naive::replay(open(&folder), reopen, &history));
    }
}

/// Sends commits straight to a writer that has not begun, so that they make one group.
#[test]
fn a_conflict_in_a_group_is_its_own() {
    let folder = TempDir::new().unwrap();
    let database = tables::open(&folder.path().join("catalog.redb")).unwrap();
    let shared = Shared { buckets: RwLock::default(), database, latch: Latch::new() };
    let (queue, requests) = mpsc::channel(8);
    let row = archive(1, "photos", "a", 10);
    let mut next = row.clone();
    (next.revision, next.size) = (1, 20);
    let commits = [
        vec![Change::Archive(row.clone())],
        // Stale only because of the commit before; the other row of it must not stay.
        vec![Change::Archive(archive(2, "photos", "b", 1)), Change::Archive(row.clone())],
        vec![Change::Archive(next), Change::Bucket(bucket("photos"))],
        vec![Change::ForgetBucket(bucket_name("music"))],
    ];
    let answers: Vec<_> = commits
        .into_iter()
        .map(|changes| {
            let (reply, answer) = oneshot::channel();
            queue.try_send(Request { changes, reply }).ok().unwrap();
            answer
        })
        .collect();
    drop(queue);
    writer::run(&shared, requests);
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect();
    assert!(matches!(
        answers.as_slice(),
        [Ok(()), Err(Refusal::Conflict(_)), Ok(()), Err(Refusal::Missing(_))]
    ));
    let rows: Vec<model::Archive> = shared.ask(query::all).unwrap();
    assert_eq!(rows.iter().map(|row| (row.size, row.revision)).collect::<Vec<_>>(), [(20, 2)]);
    assert_eq!(buckets_in(&shared.database).unwrap(), *shared.buckets.read().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_lose_nothing() {
    const WRITERS: u64 = 8;
    const ROUNDS: u64 = 10;
    let folder = TempDir::new().unwrap();
    let catalog = Arc::new(open(&folder));
    let first = archive(0, "photos", "shared", 0);
    catalog.commit(vec![Change::Archive(first.clone())]).await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=WRITERS {
        let (catalog, id) = (catalog.clone(), first.id);
        writers.spawn(async move {
            for round in 0..ROUNDS {
                let own = archive(writer * 100 + round, "photos", "own", 1);
                loop {
                    let mut shared = catalog.archive(id).await.unwrap().unwrap();
                    shared.size += 1;
                    let changes = vec![Change::Archive(own.clone()), Change::Archive(shared)];
                    match catalog.commit(changes).await {
                        Ok(()) => break,
                        Err(CatalogError::Conflict { .. }) => tokio::task::yield_now().await,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        });
    }
    writers.join_all().await;
    drop(catalog);
    let catalog = open(&folder);
    let row = catalog.archive(first.id).await.unwrap().unwrap();
    assert_eq!((row.size, row.revision), (WRITERS * ROUNDS, WRITERS * ROUNDS + 1));
    assert_eq!(catalog.counts().await.unwrap().archives[1].1, WRITERS * ROUNDS + 1);
}

#[tokio::test]
async fn a_failure_is_the_last_word() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("catalog.redb");
    let row = archive(1, "photos", "a", 1);
    drop(open(&folder));
    {
        let database = Database::create(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let definition = ::redb::TableDefinition::<&[u8], &[u8]>::new("archives");
            let mut table = transaction.open_table(definition).unwrap();
            table.insert(row.id.as_u128().to_be_bytes().as_slice(), [9_u8, 1].as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    }
    let catalog = open(&folder);
    let failed = catalog.failed();
    assert_eq!(catalog.bucket(&row.bucket).await.unwrap(), None);
    let error = catalog.commit(vec![Change::Touch(row.id)]).await.unwrap_err();
    assert!(matches!(error, CatalogError::Failed { .. }));
    let reason = tokio::time::timeout(Duration::from_secs(10), failed).await.unwrap();
    assert!(reason.contains("unknown encoding 9"), "{reason}");
    assert!(matches!(catalog.bucket(&row.bucket).await, Err(CatalogError::Failed { .. })));
    assert!(matches!(catalog.counts().await, Err(CatalogError::Failed { .. })));
    assert!(matches!(catalog.commit(Vec::new()).await, Err(CatalogError::Failed { .. })));
}

fn refusal(path: &Path) -> String {
    RedbCatalog::open(path).err().unwrap().chain()
}

#[test]
fn foreign_and_future_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("future.redb");
    drop(RedbCatalog::open(&path).unwrap());
    let tamper = |path: &Path, table: &str| {
        let database = Database::create(path).unwrap();
        let transaction = database.begin_write().unwrap();
        let definition = ::redb::TableDefinition::<&str, u32>::new(table);
        transaction.open_table(definition).unwrap().insert("format", 77).unwrap();
        transaction.commit().unwrap();
    };
    tamper(&path, "file");
    assert!(refusal(&path).contains("has the catalog format 77, this program knows 1"));

    let path = folder.path().join("foreign.redb");
    tamper(&path, "something");
    assert!(refusal(&path).contains("none, but a table \"something\""));

    let path = folder.path().join("text");
    std::fs::write(&path, "no database").unwrap();
    assert!(refusal(&path).contains("opening the catalog"));
    assert_eq!(std::fs::read(&path).unwrap(), b"no database");

    let path = folder.path().join("busy.redb");
    let busy = RedbCatalog::open(&path).unwrap();
    assert!(refusal(&path).contains("already open"));
    drop(busy);
}

#[test]
fn a_file_that_is_mostly_free_shrinks_when_it_is_opened() {
    const BYTES: usize = 80 << 20;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("catalog.redb");
    let definition = ::redb::TableDefinition::<&[u8], &[u8]>::new("packs");
    {
        let database = tables::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        let mut table = transaction.open_table(definition).unwrap();
        for key in 0..80_u32 {
            table.insert(key.to_be_bytes().as_slice(), vec![7; BYTES / 80].as_slice()).unwrap();
        }
        drop(table);
        transaction.commit().unwrap();
        let transaction = database.begin_write().unwrap();
        // The last one stays, so that the file cannot simply be cut.
        let mut table = transaction.open_table(definition).unwrap();
        for key in 0..79_u32 {
            table.remove(key.to_be_bytes().as_slice()).unwrap();
        }
        drop(table);
        transaction.commit().unwrap();
    }
    let before = std::fs::metadata(&path).unwrap().len();
    assert!(before > BYTES as u64);
    drop(tables::open(&path).unwrap());
    assert!(std::fs::metadata(&path).unwrap().len() < before / 4);
}

#[test]
fn a_snapshot_makes_the_same_catalog() {
    use model::pack::PackCopyState;

    use crate::conformance::samples::{copy, extent, object_key, pack, restore, volume};

    let (folder, runtime) = (TempDir::new().unwrap(), tokio::runtime::Runtime::new().unwrap());
    let catalog = open(&folder);
    let mut row = archive(1, "photos", "a", 10);
    row.extents = vec![extent(pack(1, true).id)];
    let job = restore(1, row.id, model::RestoreState::Queued);
    let changes = vec![
        Change::Archive(row.clone()),
        Change::Touch(row.id),
        Change::Pack(pack(1, true)),
        Change::PackCopy(copy(1, 0, Some(1), PackCopyState::Verified { start_block: 1, blocks: 1 })),
        Change::Volume(volume(1)),
        Change::Restore(job.clone()),
    ];
    runtime.block_on(catalog.commit(changes)).unwrap();
    let mut stream = Vec::new();
    assert_eq!(catalog.snapshot(&mut stream).unwrap(), 6);

    let path = folder.path().join("again.redb");
    assert_eq!(crate::rebuild(&path, stream.as_slice()).unwrap(), 6);
    let again = RedbCatalog::open(&path).unwrap();
    let everything = |catalog: &RedbCatalog| -> Vec<_> {
        let mut seen = Vec::new();
        let collect = |view: &dyn Read| {
            for table in crate::kv::Table::ALL {
                view.scan(table, &[], &mut |key, value| {
                    seen.push((table, key.to_vec(), value.to_vec()));
                    std::ops::ControlFlow::Continue(())
                })?;
            }
            Ok(())
        };
        catalog.store.read(collect).unwrap();
        seen
    };
    assert_eq!(everything(&again), everything(&catalog));
    let found = runtime.block_on(again.archives_at(&row.bucket, &object_key("a"))).unwrap();
    assert!(found[0].touched);
    assert!(crate::rebuild(&path, stream.as_slice()).is_err(), "there is one already");

    a_damaged_snapshot_makes_none(&stream, &folder.path().join("damaged.redb"));
}

fn a_damaged_snapshot_makes_none(stream: &[u8], path: &Path) {
    for cut in [0, 10, stream.len() / 2, stream.len() - 1] {
        assert!(crate::rebuild(path, &stream[..cut]).is_err(), "cut at {cut}");
    }
    let read = |stream: &[u8]| -> Result<Vec<_>, Error> {
        let mut rows = Vec::new();
        crate::snapshot::read(stream, &mut |entries| {
            rows.push(entries);
            Ok(())
        })?;
        Ok(rows)
    };
    let whole = read(stream).unwrap();
    for at in 0..stream.len() {
        let mut damaged = stream.to_vec();
        damaged[at] ^= 1;
        // Some bits of a zstd header (the window's size) change nothing.
        assert!(read(&damaged).is_ok_and(|rows| rows == whole) || read(&damaged).is_err(), "byte {at}");
    }
    assert!(!path.exists());
}
