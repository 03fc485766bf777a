//! What objects can have, and how bodies may come.

use bytes::Bytes;
use dialect::checksum::{Algorithm, Checksum};
use http::{HeaderMap, HeaderValue, Method};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use model::Body;

use super::conditions::verdict;
use super::scratch::{Answer, Outcome, Scratch};
use super::{Finding, Verdict};
use crate::remote::Trial;
use crate::s3_store::request::{Ask, unescape_key};
use crate::service::S3Service;

/// Bytes of a body with a late checksum: more than one chunk of any framing.
const LATE_BYTES: usize = 300_000;

/// Versions: the store tells the bucket's setting and lists an object with a version id.
pub(super) async fn versions<S: S3Service>(scratch: &Scratch<'_, S>) -> Outcome<Finding> {
    let step = "listing versions";
    scratch.write(step, "version", "old").await?;
    let bucket = || Ask::bucket(Method::GET, scratch.bucket);
    let setting = scratch.send(step, bucket().query("versioning", "").bare()).await?;
    let key = scratch.key("version");
    let listing = bucket().query("versions", "").query("encoding-type", "url").query("prefix", &key);
    let listing = scratch.send(step, listing.bare()).await?;
    let listed = listing.element("ListVersionsResult").is_some_and(|root| {
        root.all("Version").any(|version| {
            let named = version.child("Key").and_then(|text| unescape_key(text.exact().ok()?));
            let id = version.leaf("VersionId").ok().flatten();
            named.is_some_and(|named| named.as_str() == key) && id.is_some_and(|id| !id.is_empty())
        })
    });
    let seen = format!(
        "versioning {}, list of versions {}{}",
        setting.told(),
        listing.told(),
        if listed { "" } else { " without the object's version" }
    );
    Ok(Finding::new("versions", verdict(setting.is_done() && listed), seen))
}

/// Tags: a tag set by PUT is read again.
pub(super) async fn tags<S: S3Service>(scratch: &Scratch<'_, S>) -> Outcome<Finding> {
    let step = "reading tags";
    let ask = scratch.ask(Method::PUT, "tagged").header("x-amz-tagging", "probe=yes");
    let put = scratch.put(step, ask, "tagged").await?;
    let read = scratch.send(step, scratch.ask(Method::GET, "tagged").query("tagging", "").bare()).await?;
    let kept = read.element("Tagging").is_some_and(|root| {
        root.child("TagSet").is_some_and(|set| {
            set.all("Tag").any(|tag| {
                let text = |name| tag.child(name).and_then(|text| text.exact().ok());
                text("Key") == Some("probe") && text("Value") == Some("yes")
            })
        })
    });
    let seen = format!("PUT with a tag {}, reading it {}", put.told(), read.told());
    Ok(Finding::new("tags", verdict(put.is_done() && kept), seen))
}

/// ACLs: an object's can be read.
pub(super) async fn acls<S: S3Service>(scratch: &Scratch<'_, S>) -> Outcome<Finding> {
    let step = "reading an ACL";
    scratch.write(step, "acl", "acl").await?;
    let read = scratch.send(step, scratch.ask(Method::GET, "acl").query("acl", "").bare()).await?;
    let policy = read.element("AccessControlPolicy");
    let usable = policy.is_some_and(|policy| policy.child("AccessControlList").is_some());
    Ok(Finding::new("acls", verdict(usable), format!("GET acl {}", read.told())))
}

/// Late checksums: a right one is taken and leaves no trace of the framing, a wrong one refused.
pub(super) async fn trailers<S: S3Service>(scratch: &Scratch<'_, S>) -> Outcome<Finding> {
    let (name, step) = ("trailers", "sending a late checksum");
    let bytes = Bytes::from("tapegate ".repeat(LATE_BYTES / 9 + 1));
    let right = send_late(scratch, "late-right", &bytes, &bytes).await?;
    if !right.is_done() {
        return Ok(Finding::new(name, Verdict::Absent, format!("right checksum {}", right.told())));
    }
    let read = scratch.send(step, scratch.ask(Method::GET, "late-right").bare()).await?;
    let whole = read.is_done() && read.body == bytes;
    let framed = read.header("content-encoding").is_some_and(|encoding| encoding.contains("aws-chunked"));
    let wrong = send_late(scratch, "late-wrong", &bytes, b"other bytes").await?;
    let stored = scratch.read(step, "late-wrong").await?.is_some();
    let seen = format!(
        "right checksum {}, bytes {}{}; wrong checksum {}{}",
        right.told(),
        if whole { "came back" } else { "came back changed" },
        if framed { " as aws-chunked" } else { "" },
        wrong.told(),
        if stored { ", stored" } else { "" }
    );
    let proven = whole && !framed && wrong.status.is_client_error() && !stored;
    Ok(Finding::new(name, verdict(proven), seen))
}

async fn send_late<S: S3Service>(
    scratch: &Scratch<'_, S>,
    name: &str,
    bytes: &Bytes,
    summed: &[u8],
) -> Outcome<Answer> {
    let algorithm = Algorithm::Crc32;
    let value = Checksum::of(algorithm, summed).to_base64();
    let mut trailers = HeaderMap::new();
    if let Ok(value) = HeaderValue::try_from(value) {
        trailers.insert(algorithm.header(), value);
    }
    let frames = [Frame::data(bytes.clone()), Frame::trailers(trailers)].map(Ok);
    let body: Body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let ask = scratch.ask(Method::PUT, name).header("x-amz-trailer", algorithm.header());
    let ask = ask.header("x-amz-sdk-checksum-algorithm", algorithm.name());
    let mut request = ask.send(body, bytes.len() as u64);
    request.extensions_mut().insert(Trial);
    scratch.send("sending a late checksum", request).await
}
