//! The embedded store through the port and through its own front.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod acls;
mod bodies;
mod listings;
mod protocol;
mod races;
mod recovery;
mod tags;
mod uploads;
mod versions;
mod writer;

use std::path::Path;
use std::sync::Arc;

use dialect::reserved::MarkerKey;
use model::BucketName;

use crate::conformance::{self, Client};
use crate::{EmbeddedStore, Options, Reserved, S3Store};

const RESERVED: &str = "tapegate-copies-5f2a";

fn options(pretend_remote: bool) -> Options {
    Options { pretend_remote, sync: false, reserve_bytes: 0, ..Options::default() }
}

async fn open(directory: &Path, options: Options) -> S3Store<EmbeddedStore> {
    let service = EmbeddedStore::open(directory, options).unwrap();
    let reserved = Reserved { bucket: BucketName::parse(RESERVED).unwrap(), catalog: "c1".to_owned() };
    S3Store::open(service, reserved, MarkerKey::new([7; 32])).await.unwrap()
}

/// A store in a fresh directory, which goes with it.
struct Fixture {
    client: Client,
    directory: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let client = Client::new(Arc::new(open(directory.path(), options(false)).await));
        client.bucket("bkt").await;
        Self { client, directory }
    }

    /// Closes the store and opens it again.
    async fn reopen(self) -> Self {
        let Self { client, directory } = self;
        drop(client);
        let client = Client::new(Arc::new(open(directory.path(), options(false)).await));
        Self { client, directory }
    }

    /// Names of all files below a directory of the store.
    fn files(&self, below: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut directories = vec![self.directory.path().join(below)];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    directories.push(entry.path());
                } else {
                    found.push(entry.file_name().into_string().unwrap());
                }
            }
        }
        found.sort();
        found
    }

    /// Waits until so many data files are left.
    async fn swept_to(&self, count: usize) {
        let swept = async {
            while self.files("data").len() != count {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(10), swept).await;
        assert!(waited.is_ok(), "{:?}", self.files("data"));
    }
}

#[tokio::test]
async fn conforms_in_place() {
    let directory = tempfile::tempdir().unwrap();
    conformance::all(Arc::new(open(directory.path(), options(false)).await)).await;
}

#[tokio::test]
async fn conforms_as_a_remote_store() {
    let directory = tempfile::tempdir().unwrap();
    conformance::all(Arc::new(open(directory.path(), options(true)).await)).await;
}

#[tokio::test]
async fn conforms_with_every_write_synced() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { reserve_bytes: 0, ..Options::default() };
    conformance::all(Arc::new(open(directory.path(), options).await)).await;
}
