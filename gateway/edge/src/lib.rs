//! From a TCP connection to an S3 answer.
//!
//! Words: an *ask* is a request past the gate: authenticated, routed, its head rid of what concerns the connection
//! alone. A *mutation* is a request that may replace or remove an object. A *direct write* goes straight into a tape
//! class. A *view* is an archived object as clients go on seeing it.
//!
//! Flow of a request, one file a hop:
//! 1. `listen` takes the connection and reads the head
//! 2. `answer` leads through the rest: `authenticate` finds out who asks and puts every check the signature makes
//!    between the connection and the readers of the body (`payload`); the dialect routes; `authorise` says yes or no, and whose
//!    key the request goes on with
//! 3. `op/` does what tape changes; everything else is forwarded to the store as it came. Version ids are mapped on the
//!    way (`versions`), and what the gateway answers itself may take a proof (`proof`)
//! 4. `respond` makes the answer of whatever came of it: the only place where an error becomes an S3 error
//!
//! Not here: where the bytes are (the store and the catalog, as ports), and anything that moves them (the engine).

mod answer;
mod archived;
mod authenticate;
mod authorise;
mod body;
mod direct;
mod error;
mod house;
mod listen;
mod location;
mod mutation;
mod op;
mod payload;
mod proof;
mod respond;
mod settings;
mod versions;

use std::sync::Arc;

use http::{Request, Response};
use model::Body;
use tokio::net::TcpListener;

pub use error::Error;
pub use settings::{Identity, Limits, Ports, Settings, Upstream};

/// The S3 side of the gateway. Cheap to clone.
#[derive(Clone)]
pub struct Edge {
    house: Arc<house::House>,
}

impl Edge {
    /// An edge over these ports.
    pub fn new(ports: Ports, settings: Settings) -> Self {
        Self { house: Arc::new(house::House::new(ports, settings)) }
    }

    /// Serves connections until `shutdown` ends, then lets requests in flight finish, at most
    /// [`Limits::drain`] long, and returns. Accept errors are waited out, never returned.
    pub async fn serve(&self, listener: TcpListener, shutdown: impl Future<Output = ()> + Send) {
        listen::serve(self, listener, shutdown).await;
    }

    /// Answers one request without a connection. Never fails: errors are S3 answers.
    ///
    /// A mutation is carried to its end even when the future is dropped.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        answer::answer(&self.house, request).await
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.house.settings.limits
    }
}
