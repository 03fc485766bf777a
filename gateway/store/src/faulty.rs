//! A service that lies, for tests: it loses replies, delays and repeats work, and answers 5xx whether the work was
//! done or not. What it never does is answer success without doing the work, or change bytes.
//!
//! All chance comes from one seed. A delayed request is carried out by a task of its own within a known bound.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dialect::{Code, S3Error};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Body as _;
use model::Body;
use model::store::{Capabilities, StoreError};

use crate::service::{OwnRequest, Planted, S3Service, Swap};
use crate::stream::collect;

/// Longest body that is kept so that it can be sent later or twice, in bytes.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// What is lied about, and how often.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Where all chance comes from.
    pub seed: u64,
    /// How many of a thousand mutations suffer each fault, in the order of [`Fault::ALL`]; together at most 1 000.
    pub per_mille: [u16; 5],
    /// Longest delay of a delayed or repeated request.
    pub delay_max: Duration,
    /// Clients' requests suffer too, not only those of the typed methods.
    pub clients: bool,
}

/// One way to lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The work is done, the answer is lost.
    LostReply,
    /// The work is done later, within the bound; there is no answer.
    Delayed,
    /// The work is done twice, at once or the second time later; one of the answers is given.
    Repeated,
    /// The work is done; the answer is 5xx.
    FailedAfter,
    /// The work is not done; the answer is 5xx.
    FailedBefore,
}

/// A lying service.
pub struct Faulty<S> {
    inner: Arc<S>,
    faults: Faults,
    dice: Dice,
    lies: AtomicBool,
    told: Mutex<[u64; 5]>,
}

// === impl Fault, Faults ===

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 5] =
        [Self::LostReply, Self::Delayed, Self::Repeated, Self::FailedAfter, Self::FailedBefore];
}

impl Faults {
    /// Every fault as often, half of the mutations in all; the typed methods' requests only.
    pub fn new(seed: u64) -> Self {
        Self { seed, per_mille: [100; 5], delay_max: Duration::from_millis(50), clients: false }
    }
}

// === impl Faulty ===

impl<S: S3Service> Faulty<S> {
    /// Lies about `inner` from now on.
    pub fn new(inner: S, faults: Faults) -> Self {
        let total: u32 = faults.per_mille.iter().map(|share| u32::from(*share)).sum();
        assert!(total <= 1000, "{total} of 1000 mutations cannot suffer a fault");
        let dice = Dice(AtomicU64::new(faults.seed));
        Self { inner: Arc::new(inner), faults, dice, lies: AtomicBool::new(true), told: Mutex::new([0; 5]) }
    }

    /// Lies or tells the truth from now on; what is delayed already still happens.
    pub fn set_lying(&self, lies: bool) {
        self.lies.store(lies, Ordering::SeqCst);
    }

    /// How often each fault happened, in the order of [`Fault::ALL`].
    pub fn told(&self) -> [u64; 5] {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn choose(&self) -> Option<Fault> {
        let mut throw = self.dice.below(1000);
        for (at, share) in self.faults.per_mille.iter().enumerate() {
            match throw.checked_sub(u64::from(*share)) {
                None => {
                    self.told.lock().unwrap_or_else(PoisonError::into_inner)[at] += 1;
                    return Some(Fault::ALL[at]);
                }
                Some(rest) => throw = rest,
            }
        }
        None
    }

    fn delay(&self) -> Duration {
        let bound = u64::try_from(self.faults.delay_max.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.dice.below(bound.max(1)))
    }

    fn call_later(&self, parts: Parts, body: Bytes) {
        let (inner, delay) = (Arc::clone(&self.inner), self.delay());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let answer = inner.call(Request::from_parts(parts, model::body::full(body))).await;
            tracing::debug!(status = ?answer.map(|answer| answer.status()), "a delayed request was carried out");
        });
    }

    fn swap_later(&self, swap: Swap) {
        let (inner, delay) = (Arc::clone(&self.inner), self.delay());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            let done = inner.swap_in_place(swap).await;
            tracing::debug!(?done, "a delayed swap was carried out");
        });
    }

    /// Sends a request with a short body through, kept so that it can be sent once more.
    async fn lie_about(&self, fault: Fault, parts: Parts, body: Bytes) -> Result<Response<Body>, StoreError> {
        let request = || Request::from_parts(parts.clone(), model::body::full(body.clone()));
        match fault {
            Fault::Delayed => {
                self.call_later(parts.clone(), body.clone());
                Err(silence())
            }
            Fault::Repeated if self.dice.below(2) == 0 => {
                let first = self.inner.call(request()).await;
                self.call_later(parts.clone(), body.clone());
                first
            }
            Fault::Repeated => {
                let first = self.inner.call(request()).await;
                drop(first);
                self.inner.call(request()).await
            }
            _ => self.lie_about_answer(fault, request()).await,
        }
    }

    /// Lies that need the request only once.
    async fn lie_about_answer(
        &self,
        fault: Fault,
        request: Request<Body>,
    ) -> Result<Response<Body>, StoreError> {
        match fault {
            Fault::FailedBefore => Ok(unwell(&self.dice)),
            Fault::FailedAfter => {
                drop(self.inner.call(request).await);
                Ok(unwell(&self.dice))
            }
            Fault::LostReply | Fault::Delayed | Fault::Repeated => {
                drop(self.inner.call(request).await);
                Err(silence())
            }
        }
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: S3Service> S3Service for Faulty<S> {
    async fn call(&self, request: Request<Body>) -> Result<Response<Body>, StoreError> {
        let mutates = matches!(*request.method(), Method::PUT | Method::POST | Method::DELETE);
        let ours = request.extensions().get::<OwnRequest>().is_some();
        let suffers = mutates && (ours || self.faults.clients) && self.lies.load(Ordering::SeqCst);
        let Some(fault) = suffers.then(|| self.choose()).flatten() else {
            return self.inner.call(request).await;
        };
        let short = request.size_hint().upper().is_some_and(|bytes| bytes <= KEPT_BYTES_MAX as u64);
        if !short {
            return self.lie_about_answer(fault, request).await;
        }
        let (parts, body) = request.into_parts();
        match collect(body, KEPT_BYTES_MAX).await {
            Ok(body) => self.lie_about(fault, parts, body).await,
            // The sender gave up before the service saw anything.
            Err(error) => Err(StoreError::Doubt { what: "a request".to_owned(), source: Box::new(error) }),
        }
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn swap_in_place(&self, swap: Swap) -> Result<(), StoreError> {
        let Some(fault) = self.lies.load(Ordering::SeqCst).then(|| self.choose()).flatten() else {
            return self.inner.swap_in_place(swap).await;
        };
        match fault {
            Fault::Delayed => self.swap_later(swap),
            Fault::Repeated => {
                drop(self.inner.swap_in_place(swap.clone()).await);
                return self.inner.swap_in_place(swap).await;
            }
            Fault::LostReply | Fault::FailedAfter => drop(self.inner.swap_in_place(swap).await),
            Fault::FailedBefore => {}
        }
        Err(silence())
    }

    async fn plant_in_place(&self, planted: Planted) -> Result<(), StoreError> {
        self.inner.plant_in_place(planted).await
    }
}

fn silence() -> StoreError {
    StoreError::Doubt { what: "a request".to_owned(), source: "the reply was lost on purpose".into() }
}

fn unwell(dice: &Dice) -> Response<Body> {
    let code = if dice.below(2) == 0 { Code::InternalError } else { Code::ServiceUnavailable };
    let error = S3Error::new(code);
    let mut response = Response::new(model::body::full(error.document("faulty", "faulty")));
    *response.status_mut() = error.status();
    response
}

/// SplitMix64: enough chance for lies.
struct Dice(AtomicU64);

// === impl Dice ===

impl Dice {
    fn below(&self, bound: u64) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
        let mixed = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

#[cfg(test)]
mod tests;
