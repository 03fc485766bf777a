//! Times that pass whatever an administrator does to the clock: how long a message of ours may still change the store.

use std::time::Duration;

use model::fence::Gate;
use tokio::task::JoinHandle;

/// A time that passes.
pub(crate) struct Wait(JoinHandle<()>);

impl Wait {
    /// Begins now.
    pub(crate) fn of(duration: Duration) -> Self {
        Self(tokio::spawn(tokio::time::sleep(duration)))
    }

    /// Whether it has passed.
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps a key closed for this time, and no longer.
pub(crate) fn hold(gate: Gate, duration: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(duration).await;
        drop(gate);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends() {
        let wait = Wait::of(Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!wait.is_over());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(wait.is_over());
    }
}
