//! What every store must do, whatever it is. Adapters call [`all`]; what differs is a parameter.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

pub(crate) mod client;
mod flips;
mod objects;
mod versions;

pub(crate) use client::Client;

use std::sync::Arc;

use model::store::ObjectStore;

/// Runs the whole suite against an empty store.
pub(crate) async fn all(store: Arc<dyn ObjectStore>) {
    let client = Client::new(store);
    objects::buckets(&client).await;
    objects::bytes_come_back(&client).await;
    objects::pages(&client).await;
    objects::parts(&client).await;
    objects::conditional_creates_race(&client).await;
    objects::removals(&client).await;
    versions::histories(&client).await;
    flips::stubs_replace(&client).await;
    flips::tags_and_acls_survive(&client).await;
    flips::versions_are_replaced(&client).await;
    flips::changes_win(&client).await;
    flips::forgeries_are_no_markers(&client).await;
    flips::copies(&client).await;
}
