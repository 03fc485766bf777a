//! DeleteObjects: every key is entered and looked up like that of a DeleteObject. A key that is busy, or whose ETag
//! condition does not hold for the object clients know, is refused by itself; the store hears of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use dialect::checksum::{Algorithm, Md5};
use dialect::delete::{BYTES_MAX, DeleteRequest, Target};
use dialect::xml::Writer;
use dialect::{Code, S3Error};
use futures_util::{StreamExt, stream};
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use http::request::Parts;
use model::body::full;
use model::catalog::Change;
use model::fence::{Passage, Work};
use model::store::ObjectRef;
use model::{Archive, Body, BucketName, ETag, ObjectKey, VersionId};

use crate::archived::client_etag;
use crate::body::collect;
use crate::error::{Error, Result, catalog, store};
use crate::house::{Ask, House};
use crate::mutation::{enter, row_of};
use crate::respond::document;

/// Keys entered at a time.
const ENTERING: usize = 64;
/// End of the store's answer, before which our refusals are put.
const END: &[u8] = b"</DeleteResult>";
/// Longest answer of the store that is edited, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

type Refusals = Vec<(Target, S3Error)>;

pub(super) async fn objects(house: Arc<House>, mut ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let body = collect(body, BYTES_MAX).await?;
    let request = DeleteRequest::read(&body)?;
    let (_passages, busy) = enter_all(&house, &bucket, &request).await?;
    let rows = look_up(&house, &bucket, &request).await?;
    let (kept, refusals) = sort_out(&house, &bucket, &request, &busy, &rows).await?;
    if kept.is_empty() {
        return Ok(document(answer(&refusals)));
    }
    // Trailers that were read here do not go on.
    let changed = kept != request.targets || ask.headers().contains_key("x-amz-trailer");
    let touched: Vec<Change> = kept
        .iter()
        .filter_map(|target| rows.get(&target.key))
        .flatten()
        .map(|row| Change::Touch(row.id))
        .collect();
    let touches = !touched.is_empty();
    if touches {
        house.ports.catalog.commit(touched).await.map_err(catalog("touches"))?;
    }
    let body = if changed { rewrite(&mut ask.head, &request, &kept) } else { body };
    let outcome = house.forward(ask, full(body)).await;
    if touches {
        house.ports.wake.wake(Work::Touched);
    }
    with_refusals(outcome?, &refusals).await
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
async fn look_up(
    house: &House,
    bucket: &BucketName,
    request: &DeleteRequest,
) -> Result<BTreeMap<ObjectKey, Vec<Archive>>> {
    if !house.has_archives(bucket).await? {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<ObjectKey> = request.targets.iter().map(|target| target.key.clone()).collect();
    let rows = house.ports.catalog.archives_at_each(bucket, &keys).await;
    let rows = rows.map_err(catalog("the archives of many keys"))?;
    Ok(keys.into_iter().zip(rows).filter(|(_, rows)| !rows.is_empty()).collect())
}

/// Parts what the store is to delete, its ETags translated, from what is refused here.
async fn sort_out(
    house: &House,
    bucket: &BucketName,
    request: &DeleteRequest,
    busy: &BTreeSet<ObjectKey>,
    rows: &BTreeMap<ObjectKey, Vec<Archive>>,
) -> Result<(Vec<Target>, Refusals)> {
    let (mut kept, mut refusals) = (Vec::new(), Vec::new());
    for target in &request.targets {
        if busy.contains(&target.key) {
            refusals.push((target.clone(), Code::SlowDown.into()));
            continue;
        }
        match (&target.etag, rows.get(&target.key)) {
            (Some(etag), Some(rows)) => match standing(house, bucket, &target.key, etag, rows).await? {
                Some(etag) => kept.push(Target { etag: Some(etag), ..target.clone() }),
                None => refusals.push((target.clone(), S3Error::precondition_failed("If-Match"))),
            },
            _ => kept.push(target.clone()),
        }
    }
    Ok((kept, refusals))
}

/// The ETag on the store of the object that a client knows by `etag`; none when it is another object.
async fn standing(
    house: &House,
    bucket: &BucketName,
    key: &ObjectKey,
    etag: &ETag,
    rows: &[Archive],
) -> Result<Option<ETag>> {
    let target = ObjectRef { bucket: bucket.clone(), key: key.clone(), version: None };
    let Some(seen) = house.ports.store.head(&target).await.map_err(store("a head"))? else {
        return Ok(Some(etag.clone()));
    };
    let Some(row) = row_of(rows, &seen) else { return Ok(Some(etag.clone())) };
    let known = client_etag(row).unwrap_or(&seen.etag);
    Ok((known == etag).then_some(seen.etag))
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

/// An answer that holds nothing but refusals.
fn answer(refusals: &Refusals) -> Vec<u8> {
    let mut out = Writer::root("DeleteResult");
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

/// The store's answer with our refusals put in before its end.
async fn with_refusals(response: Response<Body>, refusals: &Refusals) -> Result<Response<Body>> {
    if refusals.is_empty() || !response.status().is_success() {
        return Ok(response);
    }
    let unusable = || Error::ReadAnswer { operation: "DeleteObjects", missing: "result" };
    let (mut parts, body) = response.into_parts();
    let theirs = collect(body, ANSWER_BYTES_MAX).await.map_err(|_| unusable())?;
    let whole = joined(&theirs, refusals).ok_or_else(unusable)?;
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    Ok(Response::from_parts(parts, full(whole)))
}

/// The store's result with our refusals put in before its end; nothing when it has no end.
fn joined(theirs: &[u8], refusals: &Refusals) -> Option<Vec<u8>> {
    let theirs = theirs.trim_ascii_end();
    let (theirs, opened) = match theirs.strip_suffix(END) {
        Some(theirs) => (theirs, ""),
        // A root of nothing, in one tag.
        None => (theirs.strip_suffix(b"/>")?, ">"),
    };
    let ours = answer(refusals);
    let first = ours.windows(7).position(|window| window == b"<Error>")?;
    Some([theirs, opened.as_bytes(), &ours[first..]].concat())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn refusals_are_put_into_every_form_of_a_result() {
        let target = Target { key: ObjectKey::parse("k").unwrap(), version: None, etag: None };
        let refusals = vec![(target, Code::SlowDown.into())];
        let joined = |theirs: &str| joined(theirs.as_bytes(), &refusals);
        for (theirs, begin) in [
            (
                "<DeleteResult xmlns=\"x\"><Deleted><Key>a</Key></Deleted></DeleteResult>\n",
                "<Deleted><Key>a</Key></Deleted>",
            ),
            ("<DeleteResult xmlns=\"x\"></DeleteResult>", ""),
            ("<DeleteResult xmlns=\"x\"/>", ""),
        ] {
            let whole = String::from_utf8(joined(theirs).unwrap()).unwrap();
            let begin = format!("<DeleteResult xmlns=\"x\">{begin}<Error><Key>k</Key><Code>SlowDown</Code>");
            assert!(whole.starts_with(&begin) && whole.ends_with("</Error></DeleteResult>"), "{whole}");
        }
        assert_eq!(joined("<html>"), None);
    }
}
