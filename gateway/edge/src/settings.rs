//! What the edge is given: settings are data, ports are objects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dialect::reserved::MarkerKey;
use dialect::sigv4::{REQUEST_HEAD_BYTES_MAX, Secret};
use model::bucket::BucketSettings;
use model::catalog::Catalog;
use model::clock::{Clock, Entropy};
use model::fence::{KeyFence, Wake};
use model::store::ObjectStore;
use model::time::DayLength;
use model::{PoolName, TapeClass};

/// The rooms the edge speaks with.
#[derive(Clone)]
pub struct Ports {
    /// The store behind the gateway.
    pub store: Arc<dyn ObjectStore>,
    /// The book of record.
    pub catalog: Arc<dyn Catalog>,
    /// Keeps flips and mutations apart.
    pub fence: Arc<dyn KeyFence>,
    /// Where hints for the background work go.
    pub wake: Arc<dyn Wake>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids.
    pub entropy: Arc<dyn Entropy>,
}

/// How the edge behaves. Its Debug form shows no secret.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Region that signatures must name.
    pub region: String,
    /// How long a day of a restore is.
    pub day: DayLength,
    /// Who may ask, by access key id.
    pub identities: BTreeMap<String, Identity>,
    /// Requests without a signature are let in and go on without one, for the store to judge. Only for a store that
    /// tells them from others.
    pub anonymous: bool,
    /// Operations nobody here has heard of go on as they came. Where not, they are answered 501.
    pub forwards_unknown: bool,
    /// What the operator makes of buckets; a row's terms go before it.
    pub buckets: BucketSettings,
    /// The pool of each tape class that may be written; a class without one is refused.
    pub classes: BTreeMap<TapeClass, PoolName>,
    /// Signs the reserved header.
    pub marker_key: MarkerKey,
    /// How long a message can still change the store after its sender gave up.
    pub store_deadline: Duration,
    /// What a connection may use.
    pub limits: Limits,
}

/// A caller.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its secret access key.
    pub secret: Secret,
    /// Whose key its requests reach the store with.
    pub upstream: Upstream,
}

/// Whose key signs a caller's requests to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// The gateway's service key: who may do what is decided here.
    Service,
    /// The caller's own, which the store knows too: the store decides, and what the gateway answers by itself takes a
    /// proof by that key.
    Own,
}

/// What connections may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait in the listener's backlog.
    pub connections: usize,
    /// Longest wait for the head of a request, also between two requests of a connection.
    pub head_read: Duration,
    /// Longest head of a request, in bytes.
    pub head_bytes: usize,
    /// Most headers of a request.
    pub headers: usize,
    /// Longest wait for the next bytes of a body.
    pub body_idle: Duration,
    /// Longest wait for a client to take the next bytes of an answer.
    pub write_idle: Duration,
    /// How long requests in flight may go on once the edge shuts down.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            head_read: Duration::from_secs(60),
            head_bytes: 128 << 10,
            headers: 256,
            body_idle: Duration::from_secs(60),
            write_idle: Duration::from_secs(120),
            drain: Duration::from_secs(10),
        }
    }
}

const _: () = assert!(REQUEST_HEAD_BYTES_MAX <= 128 << 10);
