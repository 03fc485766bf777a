//! Connections to the store that are kept open, each for one request at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use tokio::time::Instant;

use super::connect::Connector;
use super::relay::Relay;
use super::settings::RemoteSettings;
use super::silence::Silence;

/// Most headers of an answer: user metadata may come as many short ones. Room for all is made for every answer.
const HEADERS_MAX: usize = 384;
/// What is read from a connection at once, in bytes: every stream holds a few such pieces.
const READ_BYTES: usize = 128 << 10;

/// The connections that are open and unused, the one used last behind the others.
pub(super) struct Pool {
    connector: Connector,
    kept: Mutex<VecDeque<Kept>>,
    kept_max: usize,
    keep: Duration,
}

struct Kept {
    host: Authority,
    sender: http1::SendRequest<Relay>,
    since: Instant,
}

/// A connection in use. It is closed when it is dropped.
pub(super) struct Line {
    pool: Arc<Pool>,
    host: Authority,
    sender: http1::SendRequest<Relay>,
}

// === impl Pool ===

impl Pool {
    pub(super) fn new(connector: Connector, settings: &RemoteSettings) -> Arc<Self> {
        let (kept_max, keep) = (settings.idle_connections_max, settings.timeouts.keep);
        Arc::new(Self { connector, kept: Mutex::default(), kept_max, keep })
    }

    /// Sends a request on a connection to where its target says. It is on its way once at most: it goes to another
    /// connection only when a kept one turned out to be closed before a byte of it was written.
    ///
    /// # Errors
    /// [`Silence`], but for its time limits on an answer, which are the caller's to keep.
    pub(super) async fn request(
        self: &Arc<Self>,
        mut request: Request<Relay>,
    ) -> Result<(Response<Incoming>, Line), Silence> {
        let store = std::mem::take(request.uri_mut());
        let host = store.authority().cloned().ok_or_else(|| Silence::Connect("no host is named".into()))?;
        // What stands in the first line is the path alone (RFC 9112 3.2.1).
        *request.uri_mut() = store.path_and_query().cloned().map(Uri::from).unwrap_or_default();
        loop {
            let (mut sender, is_kept) = match self.take(&host) {
                Some(sender) => (sender, true),
                None => (self.connect(store.clone()).await?, false),
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Line { pool: Arc::clone(self), host, sender })),
                Err(mut failed) => match failed.take_message().filter(|_| is_kept) {
                    Some(unsent) => request = unsent,
                    None => return Err(Silence::of(failed.into_error())),
                },
            }
        }
    }

    async fn connect(&self, store: Uri) -> Result<http1::SendRequest<Relay>, Silence> {
        let stream = self.connector.connect(store).await?;
        let made =
            http1::Builder::new().max_headers(HEADERS_MAX).max_buf_size(READ_BYTES).handshake(stream).await;
        let (sender, connection) = made.map_err(Silence::of)?;
        tokio::spawn(async move {
            // Whoever uses it is told the same.
            if let Err(error) = connection.await {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "a connection to the store broke");
            }
        });
        Ok(sender)
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to this host that was used last and still can be.
    fn take(&self, host: &Authority) -> Option<http1::SendRequest<Relay>> {
        let mut kept = self.kept();
        while let Some(at) = kept.iter().rposition(|one| one.host == *host) {
            let one = kept.remove(at)?;
            if one.sender.is_ready() && one.since.elapsed() < self.keep {
                return Some(one.sender);
            }
        }
        None
    }

    fn put(&self, host: Authority, sender: http1::SendRequest<Relay>) {
        let mut kept = self.kept();
        kept.push_back(Kept { host, sender, since: Instant::now() });
        let stale = |one: &Kept| one.since.elapsed() >= self.keep;
        while kept.len() > self.kept_max || kept.front().is_some_and(stale) {
            kept.pop_front();
        }
    }
}

// === impl Line ===

impl Line {
    /// Keeps the connection for another request. Whoever calls this has read the answer to its end; what is left of
    /// the request is waited for.
    pub(super) fn give_back(self) {
        let Self { pool, host, mut sender } = self;
        if sender.is_ready() {
            pool.put(host, sender);
        } else if !sender.is_closed() {
            tokio::spawn(async move {
                if sender.ready().await.is_ok() {
                    pool.put(host, sender);
                }
            });
        }
    }
}
