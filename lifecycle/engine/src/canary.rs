//! The canary before each batch of flips: a store whose conditional writes protect clients shows once more that they
//! do, before anything relies on it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, chain};
use crate::house::House;

/// What the canary said, by batch.
#[derive(Default)]
pub(crate) struct Canary {
    batch: AtomicU64,
    heard: tokio::sync::Mutex<Option<Heard>>,
}

/// The answer to the first flip of a batch is that to all of them.
struct Heard {
    batch: u64,
    sang: Result<bool, String>,
}

impl Canary {
    /// A new batch begins.
    pub(crate) fn begin_batch(&self) {
        self.batch.fetch_add(1, Ordering::AcqRel);
    }
}

/// Succeeds when flips may rely on the store's conditions now, or need not: a store that swaps in place judges for
/// itself, and on one that loses races buckets are exclusive.
pub(crate) async fn hear(house: &House) -> Result<(), Error> {
    let capabilities = house.store.capabilities();
    if capabilities.in_place || !capabilities.compare_and_set {
        return Ok(());
    }
    let batch = house.canary.batch.load(Ordering::Acquire);
    let mut heard = house.canary.heard.lock().await;
    let sang = match &*heard {
        Some(known) if known.batch == batch => known.sang.clone(),
        _ => {
            let sang = house.store.canary().await.map_err(|error| chain(&error));
            *heard = Some(Heard { batch, sang: sang.clone() });
            sang
        }
    };
    match sang {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Canary),
        Err(detail) => Err(Error::CanaryUnheard { detail }),
    }
}
