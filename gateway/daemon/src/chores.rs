//! Work for an operator that takes its time: it goes on when whoever asked is gone, and is asked after by its ticket.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use console::AdminError;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::error::chain;

/// How long one question waits for the end; then it is asked again.
const LOOK: Duration = Duration::from_secs(1);
/// Most chores remembered; those that ended and nobody asked after go first.
const CHORES_MAX: usize = 64;

type Work = JoinHandle<Result<Value, AdminError>>;

/// What is being done, by ticket.
#[derive(Default)]
pub struct Chores {
    running: Mutex<BTreeMap<String, Work>>,
}

impl Chores {
    /// Begins the work unless this ticket's is under way; `None` while it goes on. Without a ticket its end is waited
    /// for.
    pub async fn ask<F>(&self, ticket: &str, begin: impl FnOnce() -> F) -> Result<Option<Value>, AdminError>
    where
        F: Future<Output = Result<Value, AdminError>> + Send + 'static,
    {
        let known = self.lock().remove(ticket);
        let mut work = match known {
            Some(work) => work,
            None => {
                let mut running = self.lock();
                if running.len() >= CHORES_MAX {
                    running.retain(|_, work| !work.is_finished());
                }
                if running.len() >= CHORES_MAX {
                    return Err(AdminError::failed("too much is being done already; try again later"));
                }
                tokio::spawn(begin())
            }
        };
        let ended = match ticket.is_empty() {
            true => Ok((&mut work).await),
            false => tokio::time::timeout(LOOK, &mut work).await,
        };
        match ended {
            Ok(Ok(result)) => result.map(Some),
            Ok(Err(panic)) => Err(AdminError::failed(chain(&panic))),
            Err(_) => {
                self.lock().insert(ticket.to_owned(), work);
                Ok(None)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Work>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[tokio::test(start_paused = true)]
    async fn a_chore_is_done_once_however_often_it_is_asked_after() {
        let chores = Chores::default();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let slow = async move {
            drop(ended.await);
            Ok(json!(1))
        };
        assert_eq!(chores.ask("a", || slow).await, Ok(None));
        let never = || async { Err(AdminError::failed("begun twice")) };
        assert_eq!(chores.ask("a", never).await, Ok(None));
        assert_eq!(chores.ask("b", || async { Ok(json!(2)) }).await, Ok(Some(json!(2))));
        end.send(()).unwrap();
        assert_eq!(chores.ask("a", never).await, Ok(Some(json!(1))));
        assert_eq!(chores.ask("", || async { Ok(json!(3)) }).await, Ok(Some(json!(3))));
    }
}
