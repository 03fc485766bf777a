//! DeleteObjects: every key is entered and looked up like that of a DeleteObject, and the store gets a request of our
//! own making, so that no two readers of one document can differ. A key that is busy, or whose ETag
//! condition does not hold for the object clients know, is refused by itself; the store hears of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use dialect::checksum::{Algorithm, Md5};
use dialect::delete::{BYTES_MAX, DeleteRequest, Target};
use dialect::xml::{self, Element, Writer};
use dialect::{Code, S3Error};
use futures_util::{StreamExt, stream};
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use model::body::full;
use model::catalog::Change;
use model::fence::{Passage, Work};
use model::store::{ObjectRef, Signer};
use model::{Archive, Body, BucketName, ETag, ObjectKey, VersionId};

use crate::archived::{Told, client_etag, row_of};
use crate::body::collect;
use crate::error::{Error, Result, catalog};
use crate::house::{Ask, House, head_of, object_uri, trouble};
use crate::mutation::{enter, may_end, may_hide};
use crate::respond::document;
use crate::versions;

/// Keys entered at a time.
const ENTERING: usize = 64;
/// Longest answer of the store that is edited, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

type Refusals = Vec<(Target, S3Error)>;
type Rows = BTreeMap<ObjectKey, Vec<Archive>>;

pub(super) async fn objects(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let body = collect(body, BYTES_MAX).await?;
    let request = DeleteRequest::read(&body)?;
    let (_passages, busy) = enter_all(&house, &bucket, &request).await?;
    let rows = look_up(&house, &bucket, &request).await?;
    let (kept, refusals) = sort_out(&house, &ask, &bucket, &request, &busy, &rows).await?;
    if kept.is_empty() {
        return Ok(document(result(&[], &rows, &refusals)));
    }
    let touched: Vec<Change> = kept
        .iter()
        .filter_map(|target| Some((target, rows.get(&target.key)?)))
        .flat_map(|(target, rows)| {
            rows.iter().filter(|row| may_end(row, target.version.as_ref()) || may_hide(rows, row))
        })
        .map(|row| Change::Touch(row.id))
        .collect();
    let touches = !touched.is_empty();
    if touches {
        house.ports.catalog.commit(touched).await.map_err(catalog("touches"))?;
    }
    let body = rewrite(&mut ask.head, &request, &kept);
    let outcome = house.forward_to_read(ask, full(body)).await;
    if touches {
        house.ports.wake.wake(Work::Touched);
    }
    told(outcome?, &rows, &refusals).await
}

/// DeleteObjects of a bucket that is not managed, as it came. Which keys it names is not read, so none is entered: had
/// the bucket become managed meanwhile, a flip could have put a stub where the store had deleted already, and the
/// client is told to ask again.
pub(super) async fn pass(house: &House, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let (mut parts, body) = house.forward(ask, body).await?.into_parts();
    // Stores answer while they delete: it is over when the answer is.
    let answer = collect(body, ANSWER_BYTES_MAX).await.map_err(|_| unusable())?;
    if house.is_managed(&bucket).await? {
        return Err(Code::SlowDown.into());
    }
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(answer.len()));
    Ok(Response::from_parts(parts, full(answer)))
}

/// Enters every key once. Gives those that are busy.
async fn enter_all(
    house: &House,
    bucket: &BucketName,
    request: &DeleteRequest,
) -> Result<(Vec<Passage>, BTreeSet<ObjectKey>)> {
    let keys: BTreeSet<ObjectKey> = request.targets.iter().map(|target| target.key.clone()).collect();
    let mut entering = stream::iter(keys)
        .map(|key| async move { (enter(house, bucket, &key).await, key) })
        .buffer_unordered(ENTERING);
    let (mut passages, mut busy) = (Vec::new(), BTreeSet::new());
    while let Some((entered, key)) = entering.next().await {
        match entered {
            Ok(passage) => passages.push(passage),
            Err(Error::EnterFence { .. }) => drop(busy.insert(key)),
            Err(error) => return Err(error),
        }
    }
    Ok((passages, busy))
}

/// The live archives of the keys that have some.
async fn look_up(house: &House, bucket: &BucketName, request: &DeleteRequest) -> Result<Rows> {
    if !house.has_archives(bucket).await? {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<ObjectKey> = request.targets.iter().map(|target| target.key.clone()).collect();
    let rows = house.ports.catalog.archives_at_each(bucket, &keys).await;
    let rows = rows.map_err(catalog("the archives of many keys"))?;
    Ok(keys.into_iter().zip(rows).filter(|(_, rows)| !rows.is_empty()).collect())
}

/// Parts what the store is to delete, its versions and ETags translated, from what is refused here.
async fn sort_out(
    house: &House,
    ask: &Ask,
    bucket: &BucketName,
    request: &DeleteRequest,
    busy: &BTreeSet<ObjectKey>,
    rows: &Rows,
) -> Result<(Vec<Target>, Refusals)> {
    let (mut kept, mut refusals) = (Vec::new(), Vec::new());
    for target in &request.targets {
        if busy.contains(&target.key) {
            refusals.push((target.clone(), Code::SlowDown.into()));
            continue;
        }
        let Some(rows) = rows.get(&target.key) else {
            kept.push(target.clone());
            continue;
        };
        if ask.signer() == Signer::Nobody {
            // One unsigned request would have a thousand archives touched and looked at, whatever the store then says.
            refusals.push((target.clone(), Code::AccessDenied.into()));
            continue;
        }
        let mut stored = target.clone();
        if let Some(named) = &target.version {
            stored.version = Some(versions::resolved(house, bucket, &target.key, rows, named).await?);
        }
        match standing(house, ask, bucket, &stored, rows).await? {
            Some(etag) => kept.push(Target { etag, ..stored }),
            None => refusals.push((target.clone(), S3Error::precondition_failed("If-Match"))),
        }
    }
    Ok((kept, refusals))
}

/// The ETag condition as it holds on the store; none when it was meant for another object. Looked at with the
/// caller's key.
async fn standing(
    house: &House,
    ask: &Ask,
    bucket: &BucketName,
    target: &Target,
    rows: &[Archive],
) -> Result<Option<Option<ETag>>> {
    let Some(etag) = &target.etag else { return Ok(Some(None)) };
    let head = head_of(&ask.head, object_uri(bucket, &target.key, target.version.as_ref()));
    let seen = house.look(&head).await?;
    if seen.status().is_server_error() {
        return Err(trouble("a head", seen.status()));
    }
    let object = ObjectRef { bucket: bucket.clone(), key: target.key.clone(), version: None };
    let found = row_of(house, &object, rows, seen.headers()).zip(Told::read(seen.headers()));
    // Of a hot object, or one the caller may not look at, the store knows best.
    let Some((row, told)) = found.filter(|_| seen.status().is_success()) else {
        return Ok(Some(Some(etag.clone())));
    };
    let known = client_etag(row).unwrap_or(&told.etag) == etag;
    Ok(known.then_some(Some(told.etag)))
}

/// The request for what is left of it. Its digests were checked when it was read.
fn rewrite(head: &mut Parts, request: &DeleteRequest, kept: &[Target]) -> Bytes {
    let mut out = Writer::root("Delete");
    for target in kept {
        out.open("Object");
        out.leaf("Key", target.key.as_str());
        out.optional("VersionId", target.version.as_ref().map(VersionId::as_str));
        out.optional("ETag", target.etag.as_ref().map(ETag::quoted).as_deref());
        out.close("Object");
    }
    out.leaf("Quiet", if request.quiet { "true" } else { "false" });
    let body = out.finish();
    for algorithm in Algorithm::ALL {
        head.headers.remove(algorithm.header());
    }
    for name in ["x-amz-sdk-checksum-algorithm", "x-amz-trailer"] {
        head.headers.remove(name);
    }
    let md5 = HeaderValue::try_from(Md5::of(&body).to_base64()).expect("base64 is visible ASCII");
    head.headers.insert("content-md5", md5);
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    body.into()
}

/// The store's answer with the versions clients know, and our refusals after it.
async fn told(response: Response<Body>, rows: &Rows, refusals: &Refusals) -> Result<Response<Body>> {
    if (rows.is_empty() && refusals.is_empty()) || !response.status().is_success() {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let theirs = collect(body, ANSWER_BYTES_MAX).await.map_err(|_| unusable())?;
    let theirs = xml::read(&theirs, "DeleteResult", ANSWER_BYTES_MAX).map_err(|_| unusable())?;
    let whole = result(&theirs.children, rows, refusals);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    Ok(Response::from_parts(parts, full(whole)))
}

fn unusable() -> Error {
    Error::ReadAnswer { operation: "DeleteObjects", missing: "result" }
}

/// The document of these outcomes.
fn result(theirs: &[Element], rows: &Rows, refusals: &Refusals) -> Vec<u8> {
    let mut out = Writer::root("DeleteResult");
    for outcome in theirs {
        let name = if outcome.name == "Error" { "Error" } else { "Deleted" };
        let key = outcome.child("Key").and_then(|key| ObjectKey::parse(&key.text).ok());
        let rows = key.and_then(|key| rows.get(&key)).map(Vec::as_slice).unwrap_or_default();
        out.open(name);
        for leaf in &outcome.children {
            match VersionId::parse(leaf.text.trim_ascii()) {
                Ok(version) if leaf.name == "VersionId" => {
                    out.leaf(&leaf.name, versions::shown(rows, &version).as_str());
                }
                _ => out.leaf(&leaf.name, &leaf.text),
            }
        }
        out.close(name);
    }
    for (target, error) in refusals {
        out.open("Error");
        out.leaf("Key", target.key.as_str());
        out.optional("VersionId", target.version.as_ref().map(VersionId::as_str));
        out.leaf("Code", error.code.as_str());
        out.leaf("Message", &error.message);
        out.close("Error");
    }
    out.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn refusals_stand_after_what_the_store_tells() {
        let target = Target { key: ObjectKey::parse("k").unwrap(), version: None, etag: None };
        let refusals = vec![(target, Code::SlowDown.into())];
        for (theirs, begin) in [
            (
                "<r:DeleteResult xmlns:r=\"x\"><r:Deleted><r:Key>a&lt;</r:Key></r:Deleted></r:DeleteResult>\n",
                "<Deleted><Key>a&lt;</Key></Deleted>",
            ),
            ("<DeleteResult xmlns=\"x\"></DeleteResult>", ""),
            ("<DeleteResult xmlns=\"x\"/>", ""),
        ] {
            let theirs = xml::read(theirs.as_bytes(), "DeleteResult", 1 << 10).unwrap();
            let whole = String::from_utf8(result(&theirs.children, &Rows::new(), &refusals)).unwrap();
            let begin = format!("{begin}<Error><Key>k</Key><Code>SlowDown</Code>");
            assert!(whole.contains(&begin) && whole.ends_with("</Error></DeleteResult>"), "{whole}");
        }
    }
}
