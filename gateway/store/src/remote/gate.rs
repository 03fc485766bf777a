//! What the two directions of one exchange tell each other: may the body be sent, was an answer seen, did the body
//! fail, when did something move last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use dialect::S3Error;
use tokio::time::Instant;

/// Shared by a request's body and whoever waits for the answer.
pub(super) struct Gate(Mutex<State>);

/// Stops the body when it is dropped: nobody reads the answer any more, so the connection is no good.
pub(super) struct Lifeline(Arc<Gate>);

/// What a body may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Wait: the store has not yet said that it wants the body.
    Closed,
    /// Send.
    Open,
    /// Send nothing more, but keep the connection until the answer is read.
    Answered,
    /// Give the connection up.
    Stopped,
}

struct State {
    pass: Pass,
    waker: Option<Waker>,
    failure: Option<S3Error>,
    /// The body has given its last piece.
    ended: bool,
    /// The body's own source keeps everybody waiting.
    starved: bool,
    moved: Instant,
}

// === impl Gate ===

impl Gate {
    pub(super) fn new(pass: Pass) -> Arc<Self> {
        let state =
            State { pass, waker: None, failure: None, ended: false, starved: false, moved: Instant::now() };
        Arc::new(Self(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the body may do; pending while that is nothing.
    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Pass> {
        let mut state = self.state();
        match state.pass {
            Pass::Closed | Pass::Answered => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
            pass => Poll::Ready(pass),
        }
    }

    /// What stands now.
    pub(super) fn pass(&self) -> Pass {
        self.state().pass
    }

    /// The store wants the body.
    pub(super) fn open(&self) {
        self.turn(|state| {
            if state.pass == Pass::Closed {
                state.pass = Pass::Open;
                state.moved = Instant::now();
            }
        });
    }

    /// The store has answered: a body that is not over goes no further. Tells whether it was over.
    pub(super) fn answered(&self) -> bool {
        let mut ended = false;
        self.turn(|state| {
            ended = state.ended;
            if !ended && state.pass != Pass::Stopped {
                state.pass = Pass::Answered;
            }
        });
        ended
    }

    fn stop(&self) {
        self.turn(|state| state.pass = Pass::Stopped);
    }

    fn turn(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.state();
            change(&mut state);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// A piece goes out.
    pub(super) fn moves(&self, last: bool) {
        let mut state = self.state();
        state.moved = Instant::now();
        state.starved = false;
        state.ended |= last;
    }

    /// The body's source has nothing ready.
    pub(super) fn starves(&self) {
        self.state().starved = true;
    }

    /// The body is not what it should be: the connection goes down with it.
    pub(super) fn fails(&self, why: S3Error) {
        let mut state = self.state();
        state.pass = Pass::Stopped;
        state.failure = Some(why);
    }

    /// Why the body failed, if it did.
    pub(super) fn take_failure(&self) -> Option<S3Error> {
        self.state().failure.take()
    }

    /// Since when the store alone is waited for.
    pub(super) fn silent_since(&self) -> Instant {
        let state = self.state();
        if state.starved { Instant::now() } else { state.moved }
    }
}

// === impl Lifeline ===

impl Lifeline {
    pub(super) fn new(gate: &Arc<Gate>) -> Self {
        Self(Arc::clone(gate))
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.0.stop();
    }
}
