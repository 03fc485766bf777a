//! What the running gateway answers an administrator: the book of record, and the machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use console::{Admin, AdminError, Migrate, Question};
use engine::Engine;
use library::{DriveState, Inventory, Library};
use model::catalog::Bucket;
use serde_json::{Value, json};

use crate::error::chain;
use crate::records::Records;
use crate::view;

/// The gateway, asked by an administrator.
pub struct Desk {
    engine: Arc<Engine>,
    records: Records,
}

impl Desk {
    /// Answers for this engine and what it works on.
    pub fn new(engine: Arc<Engine>) -> Self {
        let records = Records::new(engine.house().catalog.clone());
        Self { engine, records }
    }

    fn libraries(&self) -> &BTreeMap<String, Arc<Library>> {
        &self.engine.house().libraries
    }

    async fn status(&self) -> Result<Value, AdminError> {
        let mut status = self.records.answer(Question::Status).await?;
        let (used, quota) = self.engine.house().spool.usage();
        status["running"] = json!(true);
        status["libraries"] = self.library_list();
        status["spool"] = json!({"bytes": used, "bytes_max": quota});
        let notice = |notice: &engine::Notice| {
            json!({
                "stage": notice.stage,
                "code": notice.code,
                "text": notice.text,
                "since": notice.since.to_string(),
            })
        };
        status["trouble"] = self.engine.notices().iter().map(notice).collect();
        Ok(status)
    }

    fn library_list(&self) -> Value {
        let one = |(name, library): (&String, &Arc<Library>)| {
            let (drives, inventory) = (library.drives(), library.inventory());
            let down = drives.iter().filter(|drive| matches!(drive.state, DriveState::Down { .. })).count();
            let busy = drives.iter().filter(|drive| matches!(drive.state, DriveState::Busy)).count();
            json!({
                "name": name,
                "kind": "virtual",
                "drives": drives.len(),
                "drives_busy": busy,
                "drives_down": down,
                "slots": inventory.slots.len(),
                "mail_slots": inventory.mail_slots.len(),
                "cartridges": inventory.barcodes().len(),
                "jobs_queued": library.queued(),
            })
        };
        self.libraries().iter().map(one).collect()
    }

    fn drives(&self) -> Value {
        let of = |(name, library): (&String, &Arc<Library>)| -> Vec<Value> {
            library.drives().iter().map(|drive| view::drive(name, drive)).collect()
        };
        let drives: Vec<Value> = self.libraries().iter().flat_map(of).collect();
        json!({"drives": drives})
    }

    async fn inventory(&self, only: Option<String>) -> Result<Value, AdminError> {
        let mut elements = Vec::new();
        let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
        for (name, library) in self.libraries().iter().filter(|(name, _)| wanted(name)) {
            elements.extend(view::inventory(name, &look(library.clone()).await?));
        }
        match only {
            Some(name) if !self.libraries().contains_key(&name) => {
                Err(AdminError::not_found(format!("there is no library {name}")))
            }
            _ => Ok(json!({"elements": elements})),
        }
    }

    async fn buckets(&self) -> Result<Value, AdminError> {
        let house = self.engine.house();
        let known = house.catalog.buckets().await.map_err(|error| AdminError::failed(chain(&error)))?;
        let known: BTreeMap<&str, &Bucket> =
            known.iter().map(|bucket| (bucket.name.as_str(), bucket)).collect();
        let there = house.store.buckets().await.map_err(|error| AdminError::failed(chain(&error)))?;
        let rows = there.iter().map(|name| view::bucket(name.as_str(), known.get(name.as_str()).copied()));
        Ok(json!({"buckets": rows.collect::<Vec<_>>()}))
    }

    async fn migrate(&self, migrate: Migrate) -> Result<Value, AdminError> {
        let Migrate { bucket, dry_run } = migrate;
        if let Some(name) = &bucket {
            let known = self.engine.house().catalog.bucket(name).await;
            let known = known.map_err(|error| AdminError::failed(chain(&error)))?;
            if known.is_none_or(|bucket| bucket.lifecycle.is_none()) {
                let message = format!(
                    "bucket {name} has no lifecycle rules; put some with put-bucket-lifecycle-configuration"
                );
                return Err(AdminError::not_found(message));
            }
        }
        let scanned = self.engine.migrate(bucket.as_ref(), dry_run).await;
        let scanned = scanned.map_err(|error| AdminError::failed(chain(&error)))?;
        Ok(json!({
            "dry_run": dry_run,
            "listed": scanned.listed,
            "due": scanned.due,
            "expired": scanned.expired,
            "skipped": scanned.skipped,
        }))
    }
}

/// Asks the changer what is where.
async fn look(library: Arc<Library>) -> Result<Inventory, AdminError> {
    match tokio::task::spawn_blocking(move || library.rescan()).await {
        Ok(inventory) => inventory.map_err(|error| AdminError::failed(chain(&error))),
        Err(panic) => Err(AdminError::failed(chain(&panic))),
    }
}

#[async_trait]
impl Admin for Desk {
    async fn answer(&self, question: Question) -> Result<Value, AdminError> {
        match question {
            Question::Status => self.status().await,
            Question::Libraries => Ok(json!({"libraries": self.library_list()})),
            Question::Inventory { library } => self.inventory(library).await,
            Question::Drives => Ok(self.drives()),
            Question::Buckets => self.buckets().await,
            Question::Migrate(migrate) => self.migrate(migrate).await,
            of_the_records => self.records.answer(of_the_records).await,
        }
    }
}
