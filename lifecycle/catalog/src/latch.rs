//! The one-way switch from working to failed.

use std::sync::Arc;

use tokio::sync::watch;

use crate::Error;

/// Remembers the first failure and tells whoever waits for it.
#[derive(Debug)]
pub struct Latch {
    reason: watch::Sender<Option<Arc<str>>>,
}

impl Latch {
    /// A latch of a catalog that works.
    pub fn new() -> Self {
        Self { reason: watch::Sender::new(None) }
    }

    /// Notes a failure; only the first counts.
    pub fn trip(&self, error: &Error) {
        let first = self.reason.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert_with(|| error.chain().into());
            first
        });
        if first {
            tracing::error!(event = "CT-0101", error = error.chain(), "the catalog has failed");
        }
    }

    /// Refuses when the catalog has failed.
    pub fn check(&self) -> Result<(), Error> {
        match &*self.reason.borrow() {
            Some(reason) => Err(Error::Stopped { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// Ends with the reason once the catalog has failed; never, when it is dropped in good health.
    pub fn tripped(&self) -> impl Future<Output = Arc<str>> + Send + use<> {
        let mut reason = self.reason.subscribe();
        async move {
            let seen = reason.wait_for(Option::is_some).await.ok().and_then(|seen| seen.clone());
            match seen {
                Some(reason) => reason,
                None => std::future::pending().await,
            }
        }
    }
}
