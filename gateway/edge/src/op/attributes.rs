//! GetObjectAttributes: forwarded for hot objects, told from the catalog for archived ones. Its answer carries no
//! reserved header to know an archived object by, so the catalog is asked first, and then the object looked at.

use dialect::attributes::{Attributes, AttributesRequest, Part};
use dialect::checksum::ObjectChecksum;
use dialect::date;
use http::header::{HeaderValue, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, Response};
use model::{Body, StorageClass};

use super::read::{self, LOOKS};
use crate::archived::{Seen, View, mistrusted, recognise};
use crate::error::Result;
use crate::house::{Ask, House, may_be_archived};
use crate::respond::document;
use crate::versions;

pub(super) async fn attributes(house: &House, ask: Ask, body: Body) -> Result<Response<Body>> {
    let target = ask.target()?;
    let mut reason = "";
    for _ in 0..LOOKS {
        let rows = house.archives_at(&target.bucket, &target.key).await?;
        if !rows.iter().any(may_be_archived) {
            return read::forward(house, ask, body).await;
        }
        let Some(headers) = read::stub(house, &ask, &rows).await? else {
            return read::forward(house, ask, body).await;
        };
        match recognise(house, &target, &headers).await? {
            Seen::Hot => return read::forward(house, ask, body).await,
            Seen::Archived(view) => return described(&ask, &view, &headers),
            Seen::Mistrusted(why) => reason = why,
        }
    }
    Err(mistrusted(&target, reason))
}

fn described(ask: &Ask, view: &View, seen: &HeaderMap) -> Result<Response<Body>> {
    let request = AttributesRequest::parse(ask.headers())?;
    let sized = (1..).zip(&view.archive.part_bytes);
    let parts: Vec<Part> = sized.map(|(number, size)| Part { number, size: *size, checksum: None }).collect();
    let attributes = Attributes {
        etag: &view.etag,
        checksum: checksum(view),
        parts: &parts,
        class: StorageClass::Tape(view.archive.class),
        size: view.size,
    };
    let mut response = document(request.document(&attributes));
    let headers = response.headers_mut();
    let modified = HeaderValue::try_from(date::http(view.last_modified)).expect("a date is visible ASCII");
    headers.insert(LAST_MODIFIED, modified);
    if let (true, Some(version)) = (seen.contains_key(versions::HEADER), versions::to_clients(&view.archive))
    {
        headers.insert(versions::HEADER, versions::value(&version));
    }
    Ok(response)
}

/// The checksum the store told when the object was taken over; one it told in a form of its own is not told again.
fn checksum(view: &View) -> Option<ObjectChecksum> {
    let header = |(name, value): &(String, String)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    let headers: HeaderMap = view.archive.checksums.iter().filter_map(header).collect();
    ObjectChecksum::from_headers(&headers).ok().flatten()
}
