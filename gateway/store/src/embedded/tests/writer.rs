//! The writer on a database whose disk fails.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dialect::{Code, S3Error};
use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use crate::embedded::fault::{Failure, Fault, Outcome};
use crate::embedded::files::Files;
use crate::embedded::tables::Tables;
use crate::embedded::writer::Writer;

/// A disk that fails for as long as it is told to.
#[derive(Debug)]
struct Disk {
    memory: InMemoryBackend,
    reads_fail: Arc<AtomicBool>,
    syncs_fail: Arc<AtomicBool>,
}

fn unless(fails: &AtomicBool) -> io::Result<()> {
    if fails.load(Ordering::SeqCst) { Err(io::Error::other("on purpose")) } else { Ok(()) }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        unless(&self.reads_fail)?;
        self.memory.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.memory.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        unless(&self.syncs_fail)?;
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}

struct Fixture {
    writer: Writer,
    reads_fail: Arc<AtomicBool>,
    syncs_fail: Arc<AtomicBool>,
    files: Arc<Files>,
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (reads_fail, syncs_fail) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let disk = Disk {
            memory: InMemoryBackend::new(),
            reads_fail: Arc::clone(&reads_fail),
            syncs_fail: Arc::clone(&syncs_fail),
        };
        let database = Database::builder().set_cache_size(0).create_with_backend(disk).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::open(directory.path(), 1, false, 0).unwrap());
        let writer = Writer::start(Arc::new(database), Arc::clone(&files), true, Box::new(|| {})).unwrap();
        Self { writer, reads_fail, syncs_fail, files, directory }
    }

    fn names(&self, below: &str) -> usize {
        std::fs::read_dir(self.directory.path().join(below)).unwrap().count()
    }
}

fn make(tables: &mut Tables<'_>) -> Outcome<()> {
    match tables.bucket("b") {
        Ok(_) => Err(S3Error::new(Code::BucketAlreadyOwnedByYou).into()),
        Err(Failure::Refused(_)) => Ok(tables.insert_bucket("b", 0, None)?),
        Err(fault) => Err(fault),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_commit_nobody_is_told_anything_and_nothing_is_written() {
    let fixture = Fixture::new();
    fixture.writer.commit(None, |_| Ok(())).await.unwrap();
    let staged = fixture.files.stage().unwrap().finish().unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let first = fixture.writer.commit(Some(staged), move |tables| {
        wait.recv().unwrap();
        make(tables)
    });
    let second = fixture.writer.commit(None, make);
    let release = async {
        fixture.syncs_fail.store(true, Ordering::SeqCst);
        go.send(()).unwrap();
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    assert!(matches!(first, Err(Failure::Fault(Fault::Stopped))), "{first:?}");
    // It was refused because of what the first one wrote, which may never have been.
    assert!(matches!(second, Err(Failure::Fault(Fault::Stopped))), "{second:?}");
    assert!(fixture.writer.has_stopped());
    // Whether a record points to the file is for the next start to find out.
    assert_eq!((fixture.names("staging"), fixture.names("data")), (1, 1));
    fixture.syncs_fail.store(false, Ordering::SeqCst);
    let later = fixture.writer.commit(None, |_| Ok(())).await;
    assert!(matches!(later, Err(Failure::Fault(Fault::Stopped))), "{later:?}");
}

#[tokio::test]
async fn a_database_that_serves_nobody_any_more_stops_the_writer() {
    let fixture = Fixture::new();
    fixture.writer.commit(None, make).await.unwrap();
    fixture.reads_fail.store(true, Ordering::SeqCst);
    assert!(fixture.writer.commit(None, make).await.is_err());
    fixture.reads_fail.store(false, Ordering::SeqCst);
    assert!(fixture.writer.commit(None, |tables| Ok(tables.insert_bucket("c", 0, None)?)).await.is_err());
    assert!(fixture.writer.has_stopped(), "it would refuse for ever");
}

#[tokio::test]
async fn a_panic_stops_the_writer() {
    let fixture = Fixture::new();
    let lost = fixture.writer.commit(None, |_| -> Outcome<()> { panic!("on purpose") }).await;
    assert!(matches!(lost, Err(Failure::Fault(Fault::Stopped))), "{lost:?}");
    let stopped = async {
        while !fixture.writer.has_stopped() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), stopped).await.unwrap();
}
