//! Orders to the background work as a whole: a library held, migration paused. Durable before they are carried out.

use std::sync::Arc;

use console::AdminError;
use engine::{Engine, Standing};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::data::DataDir;
use crate::error::told;

/// Takes the orders.
pub struct OrderBook {
    engine: Arc<Engine>,
    data: Arc<DataDir>,
    /// One order after the other.
    alone: Mutex<()>,
}

impl OrderBook {
    /// For this engine; the orders are kept in the data directory.
    pub fn new(engine: Arc<Engine>, data: Arc<DataDir>) -> Self {
        Self { engine, data, alone: Mutex::default() }
    }

    /// Holds a library, or lets it go on.
    pub async fn hold(&self, library: &str, hold: bool) -> Result<Value, AdminError> {
        if !self.engine.house().libraries.contains_key(library) {
            return Err(AdminError::not_found(format!("there is no library {library}")));
        }
        let now = self.engine.house().now();
        self.change(|standing| match hold {
            true => drop(standing.held.entry(library.to_owned()).or_insert(now)),
            false => drop(standing.held.remove(library)),
        })
        .await?;
        let drives = self.engine.house().libraries[library].drives();
        let full = drives.iter().filter(|drive| drive.barcode.is_some()).count();
        Ok(json!({"library": library, "held": hold, "cartridges_in_drives": full}))
    }

    /// Pauses migration, or lets it go on.
    pub async fn pause(&self, pause: bool) -> Result<Value, AdminError> {
        let now = self.engine.house().now();
        self.change(|standing| match pause {
            true => drop(standing.migration_paused.get_or_insert(now)),
            false => standing.migration_paused = None,
        })
        .await?;
        Ok(json!({"paused": pause}))
    }

    async fn change(&self, change: impl FnOnce(&mut Standing)) -> Result<(), AdminError> {
        let _alone = self.alone.lock().await;
        let mut standing = self.engine.house().standing();
        change(&mut standing);
        self.data.keep_orders(&standing).map_err(|error| AdminError::failed(told(&error)))?;
        self.engine.stand(standing);
        Ok(())
    }
}
