//! Version ids. Clients go on naming a version by the id they were given; on the store a stub may be a version of its
//! own, with an id that no client was told.
//!
//! Words: a version's id *to clients* is that of the object taken over; its id *on the store* is that of what stands in
//! its place. Until the stub stands, and where it takes the very version of the object, they are one.

use dialect::S3Error;
use dialect::copy::invalid_version;
use dialect::route::Query;
use http::header::HeaderValue;
use http::{HeaderMap, Uri};
use model::limits::KEY_VERSIONS_MAX;
use model::{Archive, BucketName, ObjectKey, VersionId};

use crate::error::{Result, store};
use crate::house::{Ask, House, escaped, with_query};

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
pub(crate) fn named(query: &Query) -> std::result::Result<Option<VersionId>, S3Error> {
    let text = query.filled(PARAMETER);
    text.map(|text| VersionId::parse(text).map_err(|_| invalid_version(text))).transpose()
}

/// As [`stored`], for a request: `null` names what was written as null since, when the store has such a version too.
///
/// Errors: `AskStore`, also for a key with more versions than are looked through.
pub(crate) async fn resolved(
    house: &House,
    bucket: &BucketName,
    key: &ObjectKey,
    rows: &[Archive],
    named: &VersionId,
) -> Result<VersionId> {
    let stored = stored(rows, named);
    if !named.is_null() || stored == *named {
        return Ok(stored);
    }
    let versions = house.ports.store.versions(bucket, key, KEY_VERSIONS_MAX).await;
    let versions = versions.map_err(store("the versions of a key"))?;
    let has_null = versions.iter().any(|version| version.version.is_null());
    Ok(if has_null { named.clone() } else { stored })
}

/// The target of a request that is to name another version on the store than clients do.
///
/// Errors: `InvalidArgument`, `AskStore`.
pub(crate) async fn mapped(house: &House, ask: &Ask, rows: &[Archive]) -> Result<Option<Uri>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let Some(named) = named(&ask.route.query)? else { return Ok(None) };
    let stored = resolved(house, ask.route.bucket()?, ask.route.key()?, rows, &named).await?;
    Ok((stored != named).then(|| with_parameter(&ask.head.uri, PARAMETER, stored.as_str())))
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
    use model::archive::Standing;
    use model::store::ObjectRef;
    use model::{ArchiveState, Identity, Timestamp};

    fn row(state: ArchiveState, client: Option<&str>, store: &str) -> Archive {
        let id = |text: &str| VersionId::parse(text).unwrap();
        let etag = model::ETag::parse("e").unwrap();
        let now = Timestamp::from_seconds(0);
        Archive {
            revision: 1,
            size: 1,
            last_modified: Some(now),
            identity: Some(Identity {
                etag: etag.clone(),
                last_modified_seconds: 0,
                version: client.map(id),
                attributes_digest: [0; 32],
            }),
            standing: Some(Standing { etag, last_modified_seconds: 0, version: Some(id(store)) }),
            ..Archive::new(
                model::ArchiveId::new(1, 1),
                ObjectRef {
                    bucket: BucketName::parse("bkt").unwrap(),
                    key: ObjectKey::parse("key").unwrap(),
                    version: None,
                },
                model::TapeClass::Glacier,
                model::PoolName::parse("glacier").unwrap(),
                state,
                now,
            )
        }
    }

    #[test]
    fn an_id_is_another_one_only_where_a_stub_has_its_own() {
        let id = |text: &str| VersionId::parse(text).unwrap();
        let flipping = ArchiveState::Flipping { attempt: 1, deadline: Timestamp::from_seconds(0) };
        let rows = [
            row(ArchiveState::Archived, Some("c1"), "s1"),
            row(ArchiveState::Archived, Some("c2"), "c2"),
            row(flipping, Some("c3"), "c3"),
            row(ArchiveState::Archived, None, "s4"),
            row(ArchiveState::Due, Some("c5"), "s5"),
        ];
        for (client, store) in
            [("c1", "s1"), ("c2", "c2"), ("c3", "c3"), ("null", "s4"), ("c5", "c5"), ("other", "other")]
        {
            assert_eq!(stored(&rows, &id(client)), id(store), "{client}");
            assert_eq!(shown(&rows, &id(store)), id(client), "{store}");
        }
    }

    #[test]
    fn one_parameter_is_replaced() {
        let uri: Uri = "/b/k?x=%20&version%49d=a%2Fb&tagging".parse().unwrap();
        assert_eq!(with_parameter(&uri, PARAMETER, "c/d"), "/b/k?x=%20&versionId=c%2Fd&tagging");
    }
}
