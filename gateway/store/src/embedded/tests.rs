//! The embedded store through the port and through its own front.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::path::Path;
use std::sync::Arc;

use dialect::reserved::MarkerKey;
use model::BucketName;

use crate::conformance::{self, Client};
use crate::{EmbeddedStore, Options, Reserved, S3Store};

pub(super) fn options(pretend_remote: bool) -> Options {
    Options {
        pretend_remote,
        sync: false,
        reserve_bytes: 0,
        ..Options::default()
    }
}

pub(super) async fn open(directory: &Path, options: Options) -> S3Store<EmbeddedStore> {
    let service = EmbeddedStore::open(directory, options).unwrap();
    let reserved = Reserved {
        bucket: BucketName::parse("tapegate-copies-5f2a").unwrap(),
        catalog: "c1".to_owned(),
    };
    S3Store::open(service, reserved, MarkerKey::new([7; 32]))
        .await
        .unwrap()
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
    conformance::all(Arc::new(
        open(
            directory.path(),
            Options {
                reserve_bytes: 0,
                ..Options::default()
            },
        )
        .await,
    ))
    .await;
}

#[allow(dead_code)]
pub(super) async fn client(directory: &Path) -> Client {
    Client::new(Arc::new(open(directory, options(false)).await))
}
