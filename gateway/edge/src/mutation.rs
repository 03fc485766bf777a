//! What every mutation does before the store hears of it: it enters the key's fence, looks the key up, and marks the
//! archives it may end as touched.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dialect::conditions::Conditions;
use dialect::{Operation, Route};
use http::Response;
use http::header::{HeaderValue, IF_MATCH};
use http::request::Parts;
use model::archive::ArchiveStage;
use model::catalog::Change;
use model::fence::{Passage, Work};
use model::store::{IfMatch, ObjectRef};
use model::{Archive, Body, BucketName, ETag, ObjectKey, VersionId};
use tokio::runtime::Handle;

use crate::archived::{Told, client_etag, row_of};
use crate::error::{Error, Result, catalog};
use crate::house::{Ask, House, trouble};
use crate::versions;

/// A key entered for a mutation; others may be in it too, but no flip.
pub(crate) struct Entered {
    _passage: Passage,
    /// Live archives of the key, oldest first.
    pub(crate) rows: Vec<Archive>,
}

/// A mutation that is carried to its end whatever becomes of its client: the store may still carry it out after that
/// has hung up, and the fence must be held until then. What is dropped goes on in a task of its own.
pub(crate) fn carried<F>(mutation: F) -> Carried
where
    F: Future<Output = Result<Response<Body>>> + Send + 'static,
{
    Carried(Some(Box::pin(mutation)))
}

/// See [`carried`].
pub(crate) struct Carried(Option<Mutation>);

type Mutation = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;

/// A mutation that is forwarded as it came.
pub(crate) async fn forward(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let target = ask.target()?;
    let entered = Entered::enter(&house, &target.bucket, &target.key).await?;
    if let Some(uri) = versions::mapped(&house, &ask, &entered.rows).await? {
        ask.head.uri = uri;
    }
    entered.translate(&house, &target, &mut ask.head).await?;
    entered.touch(&house, &ask.route, Vec::new()).await?;
    let outcome = house.forward(ask, body).await;
    entered.wake(&house);
    let mut response = outcome?;
    versions::give_back(&entered.rows, response.headers_mut(), versions::HEADER);
    Ok(response)
}

/// A mutation of what no archive can stand for as it came: only flips are kept off, should the bucket become managed
/// before it is over.
pub(crate) async fn pass(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let target = ask.target()?;
    let _passage = enter(&house, &target.bucket, &target.key).await?;
    house.forward(ask, body).await
}

// === impl Carried ===

impl Future for Carried {
    type Output = Result<Response<Body>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Out of its place meanwhile: one that panics is not gone on with.
        let mut mutation = self.0.take().expect("not polled after its end");
        let poll = mutation.as_mut().poll(context);
        if poll.is_pending() {
            self.0 = Some(mutation);
        }
        poll
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        if let (Some(mutation), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(mutation);
        }
    }
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
        // By the caller's key: an answer about the condition tells something of the object.
        let seen = house.look(head).await?;
        if seen.status().is_server_error() {
            return Err(trouble("a head", seen.status()));
        }
        if !seen.status().is_success() {
            return Ok(());
        }
        let Some(row) = row_of(house, target, &self.rows, seen.headers()) else { return Ok(()) };
        let Some(told) = Told::read(seen.headers()) else {
            return Err(Error::ReadAnswer { operation: "a head", missing: "ETag, length or date" });
        };
        let known = client_etag(row).unwrap_or(&told.etag);
        Conditions::parse(&head.headers).write(target.key.as_str(), Some(known))?;
        match standing_tag(house, &told.etag) {
            Some(tag) => drop(head.headers.insert(IF_MATCH, tag)),
            None => drop(head.headers.remove(IF_MATCH)),
        }
        Ok(())
    }

    /// Marks the archives of the key that a request may change as touched, together with `changes`, durably.
    pub(crate) async fn touch(&self, house: &House, route: &Route, mut changes: Vec<Change>) -> Result<()> {
        let named = versions::named(&route.query)?;
        let anything = may_date_anew(route.operation);
        let deletes = route.operation == Operation::DeleteObject;
        let hides = |row: &Archive| deletes && may_hide(&self.rows, row);
        let touched = self.rows.iter().filter(|row| anything || may_end(row, named.as_ref()) || hides(row));
        changes.extend(touched.map(|row| Change::Touch(row.id)));
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

/// Whether an operation may change the version that stands for an archive and leave it there, also when it names none.
/// What nobody has heard of may do anything.
fn may_date_anew(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::PutObjectTagging
            | O::DeleteObjectTagging
            | O::PutObjectAcl
            | O::PutObjectLegalHold
            | O::PutObjectRetention
            | O::Unknown
    )
}

/// Whether a mutation that names this version, or none, may end an archive: a version with an id of its own is ended by
/// that id alone, and what clients know as the null version by what is written as null.
pub(crate) fn may_end(row: &Archive, named: Option<&VersionId>) -> bool {
    let stored = versions::on_store(row).filter(|version| !version.is_null());
    let Some(stored) = stored.filter(|_| row.state.stage() == ArchiveStage::Archived) else { return true };
    let known = versions::to_clients(row);
    match named {
        Some(named) => *named == stored || known.as_ref() == Some(named),
        None => known.is_some_and(|known| known.is_null()),
    }
}

/// Whether a deletion may put a delete marker above an archive or take one away, which tape is to know: of the versions
/// of a key that concerns the newest.
pub(crate) fn may_hide(rows: &[Archive], row: &Archive) -> bool {
    let versioned = versions::to_clients(row).is_some_and(|version| !version.is_null());
    versioned && rows.last().is_some_and(|newest| newest.id == row.id)
}

/// Enters a key's fence, in a bucket that is not managed too: a long upload may still be under way when it becomes so.
pub(crate) async fn enter(house: &House, bucket: &BucketName, key: &ObjectKey) -> Result<Passage> {
    house.ports.fence.enter(bucket, key).await.map_err(|source| Error::EnterFence {
        bucket: bucket.clone(),
        key: key.clone(),
        source,
    })
}

/// An If-Match of what stands on the store in the form in which the store honours it, if it does.
fn standing_tag(house: &House, etag: &ETag) -> Option<HeaderValue> {
    let text = match house.ports.store.capabilities().if_match {
        IfMatch::Quoted => etag.quoted(),
        IfMatch::Unquoted => etag.as_str().to_owned(),
        IfMatch::Ignored => return None,
    };
    Some(HeaderValue::try_from(text).expect("an ETag is visible ASCII"))
}
