//! Tags of a version, kept in the form of the header `x-amz-tagging`. They are no part of the object's bytes: writing
//! them changes neither its ETag nor its date.

use dialect::tagging::{BYTES_MAX, HEADER, TagSet};
use http::{HeaderMap, Response, StatusCode};
use model::Body;

use super::bucket::short_body;
use super::fault::Outcome;
use super::respond::{bare, document, set_version};
use super::{Ask, Inner, Target, intake};

impl Inner {
    /// GetObjectTagging
    pub(super) fn object_tagging(&self, ask: &Ask) -> Outcome<Response<Body>> {
        let seen = self.find(&Target::of(ask)?, &ask.method)?;
        let mut response = document(TagSet::parse_header(&seen.version.tags)?.document());
        set_version(response.headers_mut(), seen.bucket.told(&seen.version).as_deref());
        Ok(response)
    }

    /// PutObjectTagging. Errors: those of [`TagSet::read`].
    pub(super) async fn put_object_tagging(&self, ask: &Ask, body: Body) -> Outcome<Response<Body>> {
        self.find(&Target::of(ask)?, &ask.method)?;
        let body = short_body(body, BYTES_MAX).await?;
        intake::check_short(&ask.headers, &body)?;
        let tags = TagSet::read(&body)?;
        self.set_tags(ask, tags, StatusCode::OK).await
    }

    /// DeleteObjectTagging
    pub(super) async fn delete_object_tagging(&self, ask: &Ask) -> Outcome<Response<Body>> {
        self.set_tags(ask, TagSet::default(), StatusCode::NO_CONTENT).await
    }

    async fn set_tags(&self, ask: &Ask, tags: TagSet, status: StatusCode) -> Outcome<Response<Body>> {
        let tags = tags.header().unwrap_or_default();
        let id = self.amend(ask, move |version| version.tags = tags).await?;
        let mut response = bare(status);
        set_version(response.headers_mut(), id.as_deref());
        Ok(response)
    }
}

/// The tags a request gives what it writes; empty for none. Errors: those of [`TagSet::parse_header`].
pub(super) fn of_headers(headers: &HeaderMap) -> Outcome<String> {
    let Some(value) = headers.get(HEADER) else { return Ok(String::new()) };
    let tags = TagSet::parse_header(&String::from_utf8_lossy(value.as_bytes()))?;
    Ok(tags.header().unwrap_or_default())
}

/// How many tags there are.
pub(super) fn count(tags: &str) -> usize {
    tags.split('&').filter(|tag| !tag.is_empty()).count()
}
