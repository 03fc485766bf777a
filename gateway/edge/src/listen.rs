//! The listener: connections with their limits, and refusals that reach the client.
//!
//! An answer given before the body was read must not leave the client hanging or cut it off. A client that still
//! waits for `100 Continue` gets the answer and `Connection: close`. One that is already sending has a little of its
//! body read and thrown away first; when that was not all, the answer closes the connection, and what still arrives
//! is thrown away for a moment longer, so that the client reads the answer before it sees a reset.

mod inbound;
mod timed;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinError, JoinSet};

use crate::Edge;
use inbound::Inbound;
use timed::Timed;

/// Smallest bound on a head that the HTTP library takes, in bytes.
const HEAD_BYTES_MIN: usize = 8 << 10;
/// Pause after the operating system refused to hand out a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Longest that a connection is read on after its last answer.
const LINGER: Duration = Duration::from_secs(2);
/// Most bytes read on after the last answer.
const LINGER_BYTES: usize = 64 << 20;

/// Serves until `shutdown` ends, then drains.
pub(crate) async fn serve(edge: &Edge, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
    let places = Arc::new(Semaphore::new(edge.limits().connections));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (edge, stopped) = (edge.clone(), stopped.clone());
                connections.spawn(async move {
                    connection(&edge, stream, stopped).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while let Some(ended) = connections.try_join_next() {
            tell(ended);
        }
    }
    drop(listener);
    stop.send_replace(true);
    let all = async {
        while let Some(ended) = connections.join_next().await {
            tell(ended);
        }
    };
    if tokio::time::timeout(edge.limits().drain, all).await.is_err() {
        tracing::warn!("connections still busy at the end of the drain were cut");
    }
}

/// Says so when a connection ended in a panic.
fn tell(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "the task of a connection did not end");
    }
}

async fn connection(edge: &Edge, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended before it began");
        return;
    }
    let limits = edge.limits();
    let unread = AtomicBool::new(false);
    let service = service_fn(|request| Box::pin(exchange(edge, request, &unread)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_read)
        .max_headers(limits.headers)
        .max_buf_size(limits.head_bytes.max(HEAD_BYTES_MIN))
        .serve_connection(TokioIo::new(Timed::new(stream, limits.write_idle)), service);
    let mut stopping = false;
    let ended = loop {
        let stop = async { stopped.wait_for(|stop| *stop).await.is_ok() };
        tokio::select! {
            ended = poll_fn(|context| connection.poll_without_shutdown(context)) => break ended,
            _ = stop, if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let refused = match ended {
        Ok(()) => unread.load(Ordering::Relaxed),
        Err(error) => {
            let chain = &error as &dyn std::error::Error;
            // The one error on our side: the bytes of an answer broke off.
            match error.is_user() {
                true => tracing::warn!(error = chain, "an answer broke off"),
                false => tracing::debug!(error = chain, "a connection ended early"),
            }
            // The HTTP library has answered a head that it could not take.
            error.is_parse()
        }
    };
    if refused {
        linger(connection.into_parts().io.into_inner()).await;
    }
}

/// Says that nothing more will be sent, and throws away what still arrives.
async fn linger(mut stream: Timed) {
    let read_on = async {
        stream.shutdown().await?;
        let mut scrap = vec![0; 64 << 10];
        let mut bytes = 0;
        while bytes < LINGER_BYTES {
            match stream.read(&mut scrap).await? {
                0 => break,
                more => bytes += more,
            }
        }
        std::io::Result::Ok(())
    };
    // A client that hangs up or goes on for ever: either way its connection is over.
    if !matches!(tokio::time::timeout(LINGER, read_on).await, Ok(Ok(()))) {
        tracing::debug!("a refused client did not close its connection in time");
    }
}

async fn exchange(
    edge: &Edge,
    request: Request<Incoming>,
    unread: &AtomicBool,
) -> Result<Response<Body>, Infallible> {
    let waits = request.headers().contains_key(EXPECT);
    let (head, body) = request.into_parts();
    let inbound = Inbound::new(body, edge.limits().body_idle);
    let mut response = edge.answer(Request::from_parts(head, inbound.body())).await;
    if !inbound.finish(waits).await {
        unread.store(true, Ordering::Relaxed);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
