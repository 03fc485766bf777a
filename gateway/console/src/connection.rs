//! Connections to the admin listener: few at a time, one question each, and none that comes to nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time; more wait in the listener's backlog.
pub(crate) const CONNECTIONS: usize = 64;
/// How long a client may take to ask its whole question, and to take the next bytes of the answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hands out connections while there are places for them.
pub(crate) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection that fails when its client waits too long with its part; how long we take for ours does not count.
pub(crate) struct Connection {
    stream: TcpStream,
    patience: Pin<Box<Sleep>>,
    answering: Answering,
    _place: OwnedSemaphorePermit,
}

/// Whether the question of a connection is being answered.
#[derive(Clone, Default)]
pub(crate) struct Answering(Arc<AtomicBool>);

// === impl Door ===

impl Door {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("never closed");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let patience = Box::pin(sleep(PATIENCE));
        (Connection { stream, patience, answering: Answering::default(), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

// === impl Answering ===

impl Answering {
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Door>> for Answering {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().answering.clone()
    }
}

// === impl Connection ===

impl Connection {
    fn watch<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            return poll;
        }
        loop {
            ready!(self.patience.as_mut().poll(context));
            if !self.answering.0.load(Ordering::Relaxed) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.patience.as_mut().reset(Instant::now() + PATIENCE);
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.watch(context, poll)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        if poll.is_ready() {
            self.patience.as_mut().reset(Instant::now() + PATIENCE);
        }
        self.watch(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
