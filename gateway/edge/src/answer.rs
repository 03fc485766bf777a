//! One request from its head to its answer.

use std::sync::Arc;

use dialect::aws_chunked::PayloadReader;
use dialect::checksum::Demand;
use dialect::sigv4::Verdict;
use dialect::{Code, Operation, Route, S3Error, bucket, route};
use http::request::Parts;
use http::{Method, Request, Response};
use model::Body;
use model::limits::PUT_BYTES_MAX;

use crate::error::Result;
use crate::house::{Ask, House};
use crate::payload::Payload;
use crate::respond::{Context, respond};
use crate::{authenticate, authorise, op};

/// Answers; errors are answers too.
pub(crate) async fn answer(house: &Arc<House>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let host_id = format!("{:032x}", house.ports.entropy.random());
    let mut context = Context {
        request_id: host_id[..16].to_ascii_uppercase(),
        host_id,
        is_head: head.method == Method::HEAD,
        path: head.uri.path().to_owned(),
        operation: None,
    };
    let outcome = match admit(house, &mut context, head, body) {
        Ok((ask, body)) => op::perform(house, ask, body).await,
        Err(error) => Err(error),
    };
    respond(&context, house.now(), outcome)
}

/// Everything before the operation: authenticate, route, authorise.
fn admit(house: &House, context: &mut Context, mut head: Parts, body: Body) -> Result<(Ask, Body)> {
    let Verdict { caller, payload } = authenticate::verify(house, &head)?;
    authenticate::unsign_query(&mut head, &caller)?;
    let route = routed(house, &head)?;
    context.operation = Some(route.operation);
    let signer = authorise::authorise(&house.settings, &caller, &route, &head.method)?;
    authenticate::refuse_names(&head, &route.query)?;
    authenticate::refuse_obscure_source(&head.headers)?;
    if !house.settings.forwards_unknown {
        // A store that knows owners judges the header itself.
        bucket::expected_owner(&head.headers)?;
    }
    let demand = demand(route.operation, &head)?;
    let reader = PayloadReader::with_demand(payload, &head.headers, demand)?;
    check_length(route.operation, reader.declared_bytes())?;
    authenticate::strip(&mut head, reader.declared_bytes());
    head.extensions.insert(signer);
    Ok((Ask { route, head }, Payload::wrap(body, reader)))
}

/// The operation. A method that no sub-resource of S3 has may be one of the store's own.
fn routed(house: &House, head: &Parts) -> Result<Route> {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    match route::route(&head.method, path, query, &head.headers) {
        Err(error) if house.settings.forwards_unknown && error.code == Code::MethodNotAllowed => {
            let parsed = route::route(&Method::OPTIONS, path, query, &head.headers)?;
            Ok(Route { operation: Operation::Unknown, ..parsed })
        }
        routed => Ok(routed?),
    }
}

/// The digests to be checked here: none where the store takes them anyway.
fn demand(operation: Operation, head: &Parts) -> Result<Demand> {
    use Operation::{CompleteMultipartUpload, DeleteObjects, PutBucketLifecycleConfiguration, RestoreObject};
    Ok(match operation {
        DeleteObjects | RestoreObject | PutBucketLifecycleConfiguration => {
            Demand::from_headers(&head.headers)?
        }
        // Its checksum header is about the object.
        CompleteMultipartUpload => Demand::of_body_alone(&head.headers)?,
        _ => Demand::default(),
    })
}

/// An object's bytes come with their length, and not without end.
fn check_length(operation: Operation, declared_bytes: Option<u64>) -> Result<()> {
    if !matches!(operation, Operation::PutObject | Operation::UploadPart) {
        return Ok(());
    }
    match declared_bytes {
        None => Err(Code::MissingContentLength.into()),
        Some(bytes) if bytes > PUT_BYTES_MAX => Err(S3Error::new(Code::EntityTooLarge)
            .extra("ProposedSize", bytes.to_string())
            .extra("MaxSizeAllowed", PUT_BYTES_MAX.to_string())
            .into()),
        Some(_) => Ok(()),
    }
}
