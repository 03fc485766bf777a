//! Tags and ACL of an object, read in the form in which a PUT takes them.

use std::collections::BTreeMap;

use dialect::xml::Element;
use http::Method;
use model::store::{ObjectHead, ObjectRef, StoreError};

use super::answer::{document, leaf, nonsense};
use super::request::escape_query;
use super::{S3Store, object};
use crate::service::S3Service;

/// Longest list of tags or grants read, in bytes.
const BYTES_MAX: usize = 1 << 20;

impl<S: S3Service> S3Store<S> {
    /// Adds to `head` what a head does not tell.
    pub(super) async fn add_attributes(
        &self,
        target: &ObjectRef,
        head: &mut ObjectHead,
    ) -> Result<(), StoreError> {
        let can = self.service.capabilities();
        if can.tags
            && let Some(tags) = self.tags(target).await?
        {
            head.headers.push(("x-amz-tagging".to_owned(), tags));
        }
        if can.acls {
            head.headers.extend(self.grants(target).await?);
        }
        head.headers.sort();
        Ok(())
    }

    /// `x-amz-tagging`; none for an object without tags.
    async fn tags(&self, target: &ObjectRef) -> Result<Option<String>, StoreError> {
        let what = format!("tags of {}/{}", target.bucket, target.key);
        let response = match self.ask(&what, object(Method::GET, target).query("tagging", "").bare()).await {
            Err(StoreError::Refused { code, .. }) if code == "NoSuchTagSet" => return Ok(None),
            answered => answered?,
        };
        let tagging = document(&what, response, "Tagging", BYTES_MAX).await?;
        let set = tagging.child("TagSet").ok_or_else(|| nonsense(&what, "TagSet"))?;
        let exact = |tag: &Element, name| {
            tag.child(name)
                .and_then(|text| text.exact().ok().map(str::to_owned))
                .ok_or_else(|| nonsense(&what, name))
        };
        let mut pairs = Vec::new();
        for tag in set.all("Tag") {
            pairs.push(format!(
                "{}={}",
                escape_query(&exact(tag, "Key")?),
                escape_query(&exact(tag, "Value")?)
            ));
        }
        pairs.sort();
        Ok((!pairs.is_empty()).then(|| pairs.join("&")))
    }

    /// `x-amz-grant-*`; none where the owner alone has every right, which is what a PUT without them comes to.
    async fn grants(&self, target: &ObjectRef) -> Result<Vec<(String, String)>, StoreError> {
        let what = format!("ACL of {}/{}", target.bucket, target.key);
        let response = self.ask(&what, object(Method::GET, target).query("acl", "").bare()).await?;
        let policy = document(&what, response, "AccessControlPolicy", BYTES_MAX).await?;
        let owner = policy.child("Owner").and_then(|owner| leaf(owner, "ID")).unwrap_or_default();
        let list = policy.child("AccessControlList").ok_or_else(|| nonsense(&what, "AccessControlList"))?;
        let mut grants: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let mut default = true;
        for grant in list.all("Grant") {
            let permission = leaf(grant, "Permission").and_then(header_of);
            let grantee = grant.child("Grantee").and_then(grantee);
            let (Some(header), Some((kind, name))) = (permission, grantee) else {
                return Err(nonsense(&what, "grant"));
            };
            default &= header == FULL_CONTROL && kind == "id" && name == owner;
            grants.entry(header).or_default().push(format!("{kind}=\"{name}\""));
        }
        if default {
            return Ok(Vec::new());
        }
        let line = |(header, mut names): (&str, Vec<String>)| {
            names.sort();
            (header.to_owned(), names.join(", "))
        };
        Ok(grants.into_iter().map(line).collect())
    }
}

const FULL_CONTROL: &str = "x-amz-grant-full-control";

/// The header that grants a permission (PutObject, "Access control list").
fn header_of(permission: &str) -> Option<&'static str> {
    Some(match permission {
        "FULL_CONTROL" => FULL_CONTROL,
        "READ" => "x-amz-grant-read",
        "READ_ACP" => "x-amz-grant-read-acp",
        "WRITE" => "x-amz-grant-write",
        "WRITE_ACP" => "x-amz-grant-write-acp",
        _ => return None,
    })
}

/// How a grant header names a grantee; none for a name that could not stand in one.
fn grantee(grantee: &Element) -> Option<(&'static str, &str)> {
    let named = |name| leaf(grantee, name);
    let found = (named("ID").map(|id| ("id", id)))
        .or_else(|| named("URI").map(|uri| ("uri", uri)))
        .or_else(|| named("EmailAddress").map(|address| ("emailAddress", address)))?;
    (!found.1.contains(['"', '\n', '\r'])).then_some(found)
}
