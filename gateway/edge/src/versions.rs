//! Version ids. Clients go on naming a version by the id they were given; on the store a stub may be a version of its
//! own, with an id that no client was told.
//!
//! Words: a version's id *to clients* is that of the object taken over; its id *on the store* is that of what stands in
//! its place. Until the stub stands, and where it takes the very version of the object, they are one.

use dialect::S3Error;
use dialect::copy::invalid_version;
use dialect::route::Query;
use http::header::HeaderValue;
use http::request::Parts;
use http::{HeaderMap, Uri};
use model::{Archive, VersionId};

use crate::house::{escaped, with_query};

/// The query name of a version id.
pub(crate) const PARAMETER: &str = "versionId";
/// The header an answer names a version in.
pub(crate) const HEADER: &str = "x-amz-version-id";
/// The header an answer names a copy's source in.
pub(crate) const SOURCE_HEADER: &str = "x-amz-copy-source-version-id";

/// The id clients know an archive's version by; none while it is not known itself.
pub(crate) fn to_clients(archive: &Archive) -> Option<VersionId> {
    match (&archive.identity, &archive.standing) {
        (Some(identity), _) => Some(or_null(identity.version.as_ref())),
        (None, standing) => standing.as_ref().map(|standing| or_null(standing.version.as_ref())),
    }
}

/// The id of what stands for an archive on the store.
pub(crate) fn on_store(archive: &Archive) -> Option<VersionId> {
    archive.standing.as_ref().map(|standing| or_null(standing.version.as_ref()))
}

/// What clients call `named`, as the store calls it. Ids of versions that are not archived are one and the same.
pub(crate) fn stored(rows: &[Archive], named: &VersionId) -> VersionId {
    let its = |row: &&Archive| row.is_archived_for_clients() && to_clients(row).as_ref() == Some(named);
    // Of two that were both written as null the later one is meant.
    let row = rows.iter().rev().find(its);
    row.and_then(on_store).unwrap_or_else(|| named.clone())
}

/// What the store calls `stored`, as clients call it.
pub(crate) fn shown(rows: &[Archive], stored: &VersionId) -> VersionId {
    let its = |row: &&Archive| row.is_archived_for_clients() && on_store(row).as_ref() == Some(stored);
    rows.iter().rev().find(its).and_then(to_clients).unwrap_or_else(|| stored.clone())
}

/// The version a query names.
///
/// Errors: `InvalidArgument` for what no store gives as an id.
pub(crate) fn named(query: &Query) -> Result<Option<VersionId>, S3Error> {
    let text = query.filled(PARAMETER);
    text.map(|text| VersionId::parse(text).map_err(|_| invalid_version(text))).transpose()
}

/// Makes a request name the version the store knows.
///
/// Errors: `InvalidArgument`.
pub(crate) fn map(rows: &[Archive], query: &Query, head: &mut Parts) -> Result<(), S3Error> {
    if rows.is_empty() {
        return Ok(());
    }
    if let Some(named) = named(query)? {
        let stored = stored(rows, &named);
        if stored != named {
            head.uri = with_parameter(&head.uri, PARAMETER, stored.as_str());
        }
    }
    Ok(())
}

/// Makes an answer name the versions clients know, in this header.
pub(crate) fn give_back(rows: &[Archive], headers: &mut HeaderMap, header: &'static str) {
    let told = headers.get(header).and_then(|value| VersionId::parse(value.to_str().ok()?).ok());
    if let Some(told) = told {
        headers.insert(header, value(&shown(rows, &told)));
    }
}

/// An id in a header.
pub(crate) fn value(version: &VersionId) -> HeaderValue {
    dialect::metadata::header_value(version.as_str())
}

/// `uri` with another value for a name of its query; the other pairs stay as they are.
pub(crate) fn with_parameter(uri: &Uri, name: &str, value: &str) -> Uri {
    let replaced = |pair: &str| match Query::parse(pair).is_ok_and(|one| one.has(name)) {
        true => format!("{name}={}", escaped(value)),
        false => pair.to_owned(),
    };
    let pairs: Vec<String> = uri.query().unwrap_or_default().split('&').map(replaced).collect();
    with_query(uri, &pairs.join("&"))
}

fn or_null(version: Option<&VersionId>) -> VersionId {
    version.cloned().unwrap_or_else(VersionId::null)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_parameter_is_replaced() {
        let uri: Uri = "/b/k?x=%20&version%49d=a%2Fb&tagging".parse().unwrap();
        assert_eq!(with_parameter(&uri, PARAMETER, "c/d"), "/b/k?x=%20&versionId=c%2Fd&tagging");
    }
}
