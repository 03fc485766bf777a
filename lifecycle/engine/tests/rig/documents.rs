//! What the test store answers.

use http::Response;
use model::Body;
use model::store::StoreError;

use super::memory_store::Version;

pub fn tagging(version: &Version) -> String {
    let tags = version.headers.get("x-amz-tagging").map(String::as_str).unwrap_or_default();
    let tags = tags.split('&').filter_map(|tag| tag.split_once('='));
    let tags: String =
        tags.map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>")).collect();
    format!("<Tagging><TagSet>{tags}</TagSet></Tagging>")
}

/// Grants of READ by id, as a grant header gives them.
pub fn acl(version: &Version) -> String {
    let grant = |id: &str, permission: &str| {
        format!("<Grant><Grantee><ID>{id}</ID></Grantee><Permission>{permission}</Permission></Grant>")
    };
    let read = version.headers.get("x-amz-grant-read").map(String::as_str).unwrap_or_default();
    let readers: String = read
        .split(", ")
        .filter_map(|name| name.strip_prefix("id=\"")?.strip_suffix('"'))
        .map(|id| grant(id, "READ"))
        .collect();
    let owner = if read.is_empty() { grant("me", "FULL_CONTROL") } else { String::new() };
    format!(
        "<AccessControlPolicy><Owner><ID>me</ID></Owner><AccessControlList>{owner}{readers}</AccessControlList>\
         </AccessControlPolicy>"
    )
}

pub fn lost() -> StoreError {
    StoreError::Doubt { what: "a write".to_owned(), source: "the reply was lost".into() }
}

pub fn document(text: String) -> Response<Body> {
    Response::new(model::body::full(text))
}

pub fn refuse(status: u16, code: &str) -> Response<Body> {
    let text = format!("<Error><Code>{code}</Code></Error>");
    Response::builder().status(status).body(model::body::full(text)).unwrap()
}
