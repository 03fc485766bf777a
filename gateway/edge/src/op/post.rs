//! PostObject: a file sent by a form of a browser becomes a PutObject.
//!
//! The signature stands in the form, and covers a policy that says what else may. A short file is held until it has
//! ended; the length of a long one follows from the request's, as long as the file is the last field of the form.

mod upload;

use std::sync::Arc;

use dialect::post_form::{Form, LengthRange, Policy, Success};
use dialect::{Code, route};
use http::header::{CONTENT_LENGTH, ETAG, HeaderValue, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use model::store::Signer;
use model::{Body, BucketName, ETag, ObjectKey};

use super::put;
use crate::error::{Error, Result};
use crate::house::{Ask, House, object_uri};
use crate::mutation::carried;
use crate::respond::{bare, document};
use crate::{authenticate, authorise, location, versions};
use upload::Upload;

pub(super) async fn post(house: Arc<House>, ask: Ask, body: Body) -> Result<Response<Body>> {
    let bucket = ask.route.bucket()?.clone();
    let mut upload = Upload::new(ask.headers(), body)?;
    let form = upload.form().await?;
    let (signer, range) = admit(&house, &ask, &bucket, &form)?;
    let key = form.key()?;
    let mut headers = form.headers()?;
    authenticate::refuse_names_in(&headers)?;
    let (file, bytes) = upload.file(range).await?;
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    let put = request(&bucket, &key, headers, signer)?;
    let location = location(&ask, &put);
    let response = carried(put::put(house, put, file)).await?;
    if !response.status().is_success() {
        return Ok(response);
    }
    answer(&form, &bucket, &key, &location, response.headers())
}

/// Who sends the form, and how long its file may be.
fn admit(house: &House, ask: &Ask, bucket: &BucketName, form: &Form) -> Result<(Signer, LengthRange)> {
    let anything = LengthRange { least: 0, most: u64::MAX };
    let Some(claim) = form.claim()? else {
        return match ask.signer() {
            Signer::Nobody if !house.settings.anonymous => Err(Code::AccessDenied.into()),
            // Nobody, or whoever signed the request itself.
            signer => Ok((signer, anything)),
        };
    };
    let caller = house.verifier.verify_form(&claim, house.now(), |id| house.secret(id))?;
    let signer = authorise::authorise(&house.settings, &caller, &ask.route, &ask.head.method)?;
    let range = Policy::parse(claim.policy)?.check(form, bucket, house.now())?;
    Ok((signer, range))
}

/// The PutObject a form comes to.
fn request(bucket: &BucketName, key: &ObjectKey, headers: HeaderMap, signer: Signer) -> Result<Ask> {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = Method::PUT;
    head.uri = object_uri(bucket, key, None);
    head.headers = headers;
    head.extensions.insert(signer);
    let route = route::route(&head.method, head.uri.path(), "", &head.headers)?;
    Ok(Ask { route, head })
}

/// The URL of the object.
fn location(ask: &Ask, put: &Ask) -> String {
    format!("{}{}", location::origin(ask.headers()).unwrap_or_default(), put.head.uri.path())
}

/// What the form wants to be told of a file that is stored.
fn answer(
    form: &Form,
    bucket: &BucketName,
    key: &ObjectKey,
    location: &str,
    written: &HeaderMap,
) -> Result<Response<Body>> {
    let etag = written.get(ETAG).and_then(|etag| ETag::parse(etag.to_str().ok()?).ok());
    let etag = etag.ok_or(Error::ReadAnswer { operation: "PutObject", missing: "ETag" })?;
    let (mut response, location) = match form.success(location, bucket, key, &etag) {
        Success::Redirect(url) => (bare(StatusCode::SEE_OTHER), url),
        Success::Empty(status) => (bare(status), location.to_owned()),
        Success::Created(result) => {
            let mut response = document(result);
            *response.status_mut() = StatusCode::CREATED;
            (response, location.to_owned())
        }
    };
    let headers = response.headers_mut();
    headers.insert(LOCATION, dialect::metadata::header_value(&location));
    let told = |name: &str| {
        name == ETAG.as_str() || name == versions::HEADER || name.starts_with("x-amz-server-side-encryption")
    };
    for (name, value) in written.iter().filter(|(name, _)| told(name.as_str())) {
        headers.insert(name.clone(), value.clone());
    }
    Ok(response)
}
