//! What every mutation does before the store hears of it: it enters the key's fence, looks the key up, and marks the
//! archives it may end as touched.

use std::sync::Arc;

use dialect::conditions::Conditions;
use http::Response;
use http::header::{HeaderValue, IF_MATCH};
use http::request::Parts;
use model::catalog::Change;
use model::fence::{Passage, Work};
use model::store::{ObjectHead, ObjectRef};
use model::{Archive, Body, BucketName, ObjectKey};

use crate::archived::client_etag;
use crate::error::{Error, Result, catalog, store};
use crate::house::{Ask, House};

/// A key entered for a mutation; others may be in it too, but no flip.
pub(crate) struct Entered {
    _passage: Passage,
    /// Live archives of the key, oldest first.
    pub(crate) rows: Vec<Archive>,
}

/// Runs a mutation in a task of its own: the store may still carry it out after its client has hung up, and the
/// fence must be held until then.
pub(crate) async fn carried<F>(mutation: F) -> Result<Response<Body>>
where
    F: Future<Output = Result<Response<Body>>> + Send + 'static,
{
    tokio::spawn(mutation).await.map_err(Error::Carry)?
}

/// A mutation that is forwarded as it came.
pub(crate) async fn forward(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let target = ask.target()?;
    let entered = Entered::enter(&house, &target.bucket, &target.key).await?;
    entered.translate(&house, &target, &mut ask.head).await?;
    entered.touch(&house, Vec::new()).await?;
    let outcome = house.forward(ask, body).await;
    entered.wake(&house);
    outcome
}

// === impl Entered ===

impl Entered {
    /// Waits for the key and looks it up.
    pub(crate) async fn enter(house: &House, bucket: &BucketName, key: &ObjectKey) -> Result<Self> {
        let passage = enter(house, bucket, key).await?;
        let rows = house.archives_at(bucket, key).await?;
        Ok(Self { _passage: passage, rows })
    }

    /// Makes an If-Match that names the object as clients know it name what stands on the store in its place, so that
    /// the store judges it together with its write.
    ///
    /// Errors: `PreconditionFailed` when it names another.
    pub(crate) async fn translate(&self, house: &House, target: &ObjectRef, head: &mut Parts) -> Result<()> {
        if self.rows.is_empty() || !head.headers.contains_key(IF_MATCH) {
            return Ok(());
        }
        let seen = house.ports.store.head(target).await.map_err(store("a head"))?;
        let Some(seen) = seen else { return Ok(()) };
        let Some(row) = row_of(&self.rows, &seen) else { return Ok(()) };
        let known = client_etag(row).unwrap_or(&seen.etag);
        Conditions::parse(&head.headers).write(target.key.as_str(), Some(known))?;
        let standing = HeaderValue::try_from(seen.etag.quoted()).expect("an ETag is visible ASCII");
        head.headers.insert(IF_MATCH, standing);
        Ok(())
    }

    /// Marks every live archive of the key as touched, together with `changes`, durably.
    pub(crate) async fn touch(&self, house: &House, mut changes: Vec<Change>) -> Result<()> {
        changes.extend(self.rows.iter().map(|row| Change::Touch(row.id)));
        if changes.is_empty() {
            return Ok(());
        }
        house.ports.catalog.commit(changes).await.map_err(catalog("a touch"))
    }

    /// Has the touched archives looked at.
    pub(crate) fn wake(&self, house: &House) {
        if !self.rows.is_empty() {
            house.ports.wake.wake(Work::Touched);
        }
    }
}

/// Enters a key's fence.
pub(crate) async fn enter(house: &House, bucket: &BucketName, key: &ObjectKey) -> Result<Passage> {
    house.ports.fence.enter(bucket, key).await.map_err(|source| Error::EnterFence {
        bucket: bucket.clone(),
        key: key.clone(),
        source,
    })
}

/// The archive that an object with our marker belongs to.
pub(crate) fn row_of<'a>(rows: &'a [Archive], seen: &ObjectHead) -> Option<&'a Archive> {
    let marker = seen.marker.as_ref()?;
    rows.iter().find(|row| row.id == marker.archive)
}
