//! ListParts and ListMultipartUploads: the store does not know the class of an upload into a tape class, so it is put
//! in.

use std::collections::BTreeMap;

use dialect::xml::{self, Element};
use http::Response;
use http::header::{CONTENT_LENGTH, HeaderValue};
use model::body::full;
use model::{Body, BucketName, ObjectKey, TapeClass};
use percent_encoding::percent_decode_str;

use crate::body::collect;
use crate::error::{Error, Result, catalog};
use crate::house::{Ask, House};

/// Longest answer edited, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const ID: &str = "<UploadId>";
const STANDARD: &str = "<StorageClass>STANDARD<";

pub(super) async fn list(house: &House, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let key = ask.route.key.clone();
    let response = house.forward_to_read(ask, body).await?;
    if !response.status().is_success() || !house.has_archives(&bucket).await? {
        return Ok(response);
    }
    edited(house, &bucket, key, response).await
}

/// An answer about one upload, of this key, or about many, with the classes that the store was not told.
pub(super) async fn edited(
    house: &House,
    bucket: &BucketName,
    key: Option<ObjectKey>,
    response: Response<Body>,
) -> Result<Response<Body>> {
    let unusable = || Error::ReadAnswer { operation: "a list of uploads", missing: "document" };
    let (mut parts, body) = response.into_parts();
    let answer = collect(body, ANSWER_BYTES_MAX).await.map_err(|_| unusable())?;
    let document = xml::read_any(&answer, ANSWER_BYTES_MAX).map_err(|_| unusable())?;
    let keys = match key {
        Some(key) => vec![key],
        None => keys(&document),
    };
    let classes = classes(house, bucket, &keys).await?;
    let text = std::str::from_utf8(&answer).map_err(|_| unusable())?;
    let edited = edit(text, &classes);
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(edited.len()));
    Ok(Response::from_parts(parts, full(edited)))
}

/// The keys of a ListMultipartUploads answer.
fn keys(document: &Element) -> Vec<ObjectKey> {
    let encoded = document.leaf("EncodingType").ok().flatten() == Some("url");
    let key = |upload: &Element| {
        let text = upload.child("Key")?.exact().ok()?;
        let text = match encoded {
            true => percent_decode_str(&text.replace('+', " ")).decode_utf8().ok()?.into_owned(),
            false => text.to_owned(),
        };
        ObjectKey::parse(&text).ok()
    };
    document.all("Upload").filter_map(key).collect()
}

/// The classes of declared uploads under these keys, by upload id.
async fn classes(
    house: &House,
    bucket: &BucketName,
    keys: &[ObjectKey],
) -> Result<BTreeMap<String, TapeClass>> {
    let rows = house.ports.catalog.archives_at_each(bucket, keys).await;
    let rows = rows.map_err(catalog("the uploads of a page"))?;
    Ok(rows.into_iter().flatten().filter_map(|row| Some((row.upload?, row.class))).collect())
}

/// Writes the class of each upload that has one; it stands after the upload's id.
fn edit(document: &str, classes: &BTreeMap<String, TapeClass>) -> String {
    let mut pieces = document.split(ID);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str(ID);
        let class = piece.split('<').next().and_then(|id| classes.get(id));
        match class {
            Some(class) => out.push_str(&piece.replacen(STANDARD, &format!("<StorageClass>{class}<"), 1)),
            None => out.push_str(piece),
        }
    }
    out
}
