//! An S3 server on the loopback in front of a service: verifies every signature, as a store does, and keeps what it
//! saw.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use dialect::S3Error;
use dialect::aws_chunked::PayloadReader;
use dialect::checksum::Demand;
use dialect::sigv4::{Caller, RequestView, Secret, Verifier};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use model::{Body, Timestamp};
use tokio::net::TcpListener;

use super::{KEY, SECRET};
use crate::S3Service;

/// A key some caller has on the store.
pub(crate) const OWN: (&str, &str) = ("AKIDOWN", "own secret");

/// A running server.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    service: Arc<dyn S3Service>,
    verifier: Arc<Verifier>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: Parts,
    pub(crate) caller: Option<Caller>,
    /// Bytes of its body on the wire.
    pub(crate) wire_bytes: usize,
}

// === impl Front ===

impl Front {
    pub(crate) async fn serve(service: Arc<dyn S3Service>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            address: listener.local_addr().unwrap(),
            service,
            verifier: Arc::new(Verifier::new("us-east-1")),
            seen: Arc::default(),
        };
        let serving = front.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                socket.set_nodelay(true).unwrap();
                let front = serving.clone();
                let answer = move |request| {
                    let front = front.clone();
                    async move { front.answer(request).await }
                };
                let service = hyper::service::service_fn(answer);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .half_close(true)
                        .max_headers(1024)
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        front
    }

    /// What arrived last.
    pub(crate) fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().unwrap().clone()
    }

    /// An error drops the connection: the body did not come whole.
    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let (mut head, body) = request.into_parts();
        let now = Timestamp::from(SystemTime::now());
        let secret = |id: &str| {
            [(KEY, SECRET), OWN].into_iter().find(|(known, _)| *known == id).map(|(_, s)| Secret::new(s))
        };
        let verdict = self.verifier.verify(&RequestView::of_parts(&head), now, secret);
        let mut seen = Seen { head: head.clone(), caller: None, wire_bytes: 0 };
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(error) => {
                self.seen.lock().unwrap().push(seen);
                return Ok(refused(&error.into()));
            }
        };
        seen.caller = Some(verdict.caller);
        let demand = match head.uri.query() {
            Some(query) if query.starts_with("uploadId") => Demand::default(),
            _ => Demand::from_headers(&head.headers).unwrap(),
        };
        let mut reader = PayloadReader::with_demand(verdict.payload, &head.headers, demand).unwrap();
        let length = head.headers.get("content-length").map(|value| value.to_str().unwrap().parse().unwrap());
        let wire = match length {
            Some(0) | None => bytes::Bytes::new(),
            Some(_) => body.collect().await.map_err(io::Error::other)?.to_bytes(),
        };
        seen.wire_bytes = wire.len();
        self.seen.lock().unwrap().push(seen);
        assert!(length.is_none_or(|length: usize| length == wire.len()));
        let (mut input, mut bytes) = (wire, bytes::BytesMut::new());
        loop {
            match reader.read(&mut input) {
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => break,
                Err(error) => return Ok(refused(&error.into())),
            }
        }
        if let Err(error) = reader.finish() {
            return Ok(refused(&error.into()));
        }
        for name in ["authorization", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-trailer"]
        {
            head.headers.remove(name);
        }
        head.headers.remove("x-amz-sdk-checksum-algorithm");
        match dialect::aws_chunked::stored_content_encoding(&head.headers) {
            Some(encoding) => drop(head.headers.insert("content-encoding", encoding.parse().unwrap())),
            None => drop(head.headers.remove("content-encoding")),
        }
        if length.is_some() {
            head.headers.insert("content-length", bytes.len().into());
        }
        let request = Request::from_parts(head, model::body::full(bytes.freeze()));
        Ok(self.service.call(request).await.unwrap())
    }
}

fn refused(error: &S3Error) -> Response<Body> {
    let mut response = Response::new(model::body::full(error.document("1", "front")));
    *response.status_mut() = error.status();
    response.headers_mut().insert("content-type", "application/xml".parse().unwrap());
    response
}
