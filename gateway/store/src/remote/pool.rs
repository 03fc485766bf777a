//! Connections to the store that are kept open, each for one request at a time.
//!
//! A connection has no task of its own: whoever waits for its answer, and then for the bytes of that answer, moves it
//! on by being polled. So an exchange wakes nobody but the one it is for. An unused one stands still: that the store
//! has closed it is seen when it is taken, before anything is written.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{Request, Response, Uri};
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use hyper::rt::{Read, Write};
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
    wire: Wire,
    since: Instant,
}

/// A connection in use. It is closed when it is dropped.
pub(super) struct Line {
    pool: Arc<Pool>,
    host: Authority,
    wire: Wire,
}

/// A connection and the way onto it. It is closed when it is dropped, whatever of a request it still holds.
struct Wire {
    sender: http1::SendRequest<Relay>,
    /// None once it is closed.
    connection: Option<Driver>,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

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
            let (mut wire, is_kept) = match self.take(&host) {
                Some(wire) => (wire, true),
                // In a box: it is large, seldom needed, and would be moved about with every request.
                None => (Box::pin(self.connect(store.clone())).await?, false),
            };
            match wire.send(request).await {
                Ok(response) => return Ok((response, Line { pool: Arc::clone(self), host, wire })),
                Err(mut failed) => match failed.take_message().filter(|_| is_kept) {
                    Some(unsent) => request = unsent,
                    None => return Err(Silence::of(failed.into_error())),
                },
            }
        }
    }

    async fn connect(&self, store: Uri) -> Result<Wire, Silence> {
        Wire::open(self.connector.connect(store).await?).await
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection to this host that was used last and still can be.
    fn take(&self, host: &Authority) -> Option<Wire> {
        let mut kept = self.kept();
        while let Some(at) = kept.iter().rposition(|one| one.host == *host) {
            let one = kept.remove(at)?;
            if one.since.elapsed() < self.keep {
                return Some(one.wire);
            }
        }
        None
    }

    fn put(&self, host: Authority, wire: Wire) {
        let mut kept = self.kept();
        kept.push_back(Kept { host, wire, since: Instant::now() });
        let stale = |one: &Kept| one.since.elapsed() >= self.keep;
        while kept.len() > self.kept_max || kept.front().is_some_and(stale) {
            kept.pop_front();
        }
    }
}

// === impl Line ===

impl Line {
    /// The next piece of an answer that came on this connection.
    pub(super) fn poll_frame(
        &mut self,
        answer: &mut Incoming,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // What is there already goes out first; more of it comes by the connection alone, which is what wakes.
        let mut nobody = Context::from_waker(Waker::noop());
        if let Poll::Ready(frame) = Pin::new(&mut *answer).poll_frame(&mut nobody) {
            return Poll::Ready(frame);
        }
        self.wire.drive(context);
        Pin::new(answer).poll_frame(&mut nobody)
    }

    /// Keeps the connection for another request. Whoever calls this has read the answer to its end; what is left of
    /// the request is waited for, no longer than an unused connection is kept.
    pub(super) fn give_back(self) {
        let Self { pool, host, mut wire } = self;
        wire.drive(&mut Context::from_waker(Waker::noop()));
        if wire.sender.is_ready() {
            pool.put(host, wire);
        } else if wire.connection.is_some() {
            tokio::spawn(async move {
                if let Ok(Ok(())) = tokio::time::timeout(pool.keep, wire.ready()).await {
                    pool.put(host, wire);
                }
            });
        }
    }
}

// === impl Wire ===

impl Wire {
    async fn open(stream: impl Read + Write + Send + Unpin + 'static) -> Result<Self, Silence> {
        let made =
            http1::Builder::new().max_headers(HEADERS_MAX).max_buf_size(READ_BYTES).handshake(stream).await;
        let (sender, connection) = made.map_err(Silence::of)?;
        Ok(Self { sender, connection: Some(Box::pin(connection)) })
    }

    /// Sends a request and waits for the head of its answer.
    async fn send(
        &mut self,
        request: Request<Relay>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Relay>>> {
        // It is woken by the connection alone, so it must not wait for a turn of its own.
        let mut answer = pin!(tokio::task::unconstrained(self.sender.try_send_request(request)));
        let connection = &mut self.connection;
        poll_fn(|context| {
            drive(connection, context);
            answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
        })
        .await
    }

    /// Waits until another request may be sent.
    async fn ready(&mut self) -> hyper::Result<()> {
        let Self { sender, connection } = self;
        poll_fn(|context| {
            drive(connection, context);
            sender.poll_ready(context)
        })
        .await
    }

    fn drive(&mut self, context: &mut Context<'_>) {
        drive(&mut self.connection, context);
    }
}

/// Moves what can be moved, until the connection is over.
fn drive(place: &mut Option<Driver>, context: &mut Context<'_>) {
    let Some(connection) = place else { return };
    if let Poll::Ready(ended) = connection.as_mut().poll(context) {
        *place = None;
        // Whoever uses it is told the same.
        if let Err(error) = ended {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection to the store broke");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use bytes::Bytes;
    use hyper_util::rt::TokioIo;
    use model::body::full;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
    use tokio::task::coop;

    use super::super::check::Check;
    use super::super::gate::{Gate, Lifeline, Pass};
    use super::super::relay::Framing;
    use super::*;

    /// A connection whose reader has nothing left of its task's turn once something came, as in a task that has many
    /// exchanges under way.
    struct Spent(tokio::io::DuplexStream);

    impl AsyncRead for Spent {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let read = Pin::new(&mut self.0).poll_read(context, into);
            if read.is_ready() {
                while let Poll::Ready(turn) = coop::poll_proceed(&mut Context::from_waker(Waker::noop())) {
                    turn.made_progress();
                }
            }
            read
        }
    }

    impl AsyncWrite for Spent {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            from: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(context, from)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_heard_at_the_end_of_its_tasks_turn() {
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        let mut wire = Wire::open(TokioIo::new(Spent(ours))).await.unwrap();
        let gate = Gate::new(Pass::Open);
        let body = Relay::new(full(Bytes::new()), 0, Check::none(), Framing::Plain, Arc::clone(&gate));
        let request = Request::get("/bkt/k").body(body).unwrap();
        let _store = tokio::spawn(async move {
            let mut some = [0; 1 << 10];
            assert!(theirs.read(&mut some).await.unwrap() > 0);
            theirs.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody").await.unwrap();
            theirs
        });
        let answer = tokio::time::timeout(Duration::from_secs(5), wire.send(request)).await;
        let answer = answer.expect("it is heard").map_err(|failed| failed.into_error()).unwrap();
        assert_eq!(answer.status(), 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stops_reading_costs_no_connection() {
        let settings = super::super::tests::settings("127.0.0.1:9".parse().unwrap());
        let pool = Pool::new(Connector::new(&settings).unwrap(), &settings);
        // What does not fit into it waits in the connection.
        let (ours, mut theirs) = tokio::io::duplex(1 << 10);
        let mut wire = Wire::open(TokioIo::new(ours)).await.unwrap();
        let gate = Gate::new(Pass::Open);
        let lifeline = Lifeline::new(&gate);
        let body = full(Bytes::from(vec![0; 64 << 10]));
        let body = Relay::new(body, 64 << 10, Check::none(), Framing::Plain, Arc::clone(&gate));
        let answered = async {
            let mut some = [0; 1 << 10];
            theirs.read_exact(&mut some).await.unwrap();
            theirs.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        };
        let request = Request::put("/bkt/k").header("content-length", 64 << 10).body(body).unwrap();
        let (response, ()) = tokio::join!(wire.send(request), answered);
        assert_eq!(response.map_err(|failed| failed.into_error()).unwrap().status(), 403);
        drop(lifeline);
        Line { pool: Arc::clone(&pool), host: "store".parse().unwrap(), wire }.give_back();
        tokio::time::sleep(pool.keep + Duration::from_secs(1)).await;
        theirs.write_all(b"x").await.unwrap_err();
        assert!(pool.kept().is_empty());
    }
}
