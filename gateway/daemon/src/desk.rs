//! What the running gateway answers an administrator: the book of record, and the machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use console::{Admin, AdminError, BucketAction, BucketOrder, Migrate, Question, Repair, VolumeOrder};
use engine::{BucketView, Engine, Refusal};
use library::{DriveState, Inventory, Library};
use model::bucket::Mode;
use model::catalog::Bucket;
use model::volume::VolumeStage;
use model::{BucketName, JobId, PoolName, VolumeId};
use serde_json::{Value, json};
use virtual_library::VirtualLibrary;

use crate::config::LibraryConfig;
use crate::data::DataDir;
use crate::doctor;
use crate::error::{chain, told};
use crate::machines::Machines;
use crate::orders::OrderBook;
use crate::records::Records;
use crate::stores::Behind;
use crate::switch::Switch;
use crate::units;
use crate::view;

/// The gateway, asked by an administrator.
pub struct Desk {
    engine: Arc<Engine>,
    behind: Behind,
    data: Arc<DataDir>,
    records: Records,
    machines: Machines,
    configured: Vec<LibraryConfig>,
    orders: OrderBook,
}

impl Desk {
    /// Answers for this engine and what it works on; `configured` is what the configuration says of its libraries.
    pub fn new(
        engine: Arc<Engine>,
        behind: Behind,
        data: Arc<DataDir>,
        configured: Vec<LibraryConfig>,
        hands: BTreeMap<String, VirtualLibrary>,
    ) -> Self {
        let records = Records::new(engine.house().catalog.clone());
        let machines = Machines::new(engine.clone(), data.clone(), hands);
        let orders = OrderBook::new(engine.clone(), data.clone());
        Self { engine, behind, data, records, machines, configured, orders }
    }

    fn libraries(&self) -> &BTreeMap<String, Arc<Library>> {
        &self.engine.house().libraries
    }

    async fn status(&self) -> Result<Value, AdminError> {
        let mut status = self.records.answer(Question::Status).await?;
        let health = engine::health(&*self.engine.house().catalog).await;
        let health = health.map_err(|error| AdminError::failed(chain(&error)))?;
        let (used, quota) = self.engine.house().spool.usage();
        status["running"] = json!(true);
        status["libraries"] = self.library_list();
        let paused = self.engine.house().standing().migration_paused;
        status["migration_paused_since"] = json!(paused.map(|since| since.to_string()));
        status["spool"] = json!({"bytes": used, "bytes_max": quota});
        let notice = |notice: &engine::Notice| {
            json!({
                "stage": notice.stage,
                "code": notice.code,
                "text": notice.text,
                "since": notice.since.to_string(),
            })
        };
        status["tasks"] = self.machines.tasks().await?["tasks"].take();
        let mut notices = self.engine.notices();
        notices.extend(self.engine.shortages(&health));
        status["trouble"] = notices.iter().map(notice).collect();
        Ok(status)
    }

    /// Begins what is to be made again; what takes longer is asked for again until it is `done`.
    async fn repair(&self, repair: Repair) -> Result<Value, AdminError> {
        let pools = &self.engine.house().settings.pools;
        if let Some(pool) = repair.pool.as_ref().filter(|pool| !pools.contains_key(*pool)) {
            let known: Vec<&str> = pools.keys().map(PoolName::as_str).collect();
            let message = format!("there is no pool {pool}; there are: {}", known.join(", "));
            return Err(AdminError::not_found(message));
        }
        let left = self.engine.repair(repair.pool.as_ref()).await;
        let left = left.map_err(|error| AdminError::failed(chain(&error)))?;
        let short: u64 = left.pools.values().map(|pool| pool.short.packs).sum();
        let lost: u64 = left.pools.values().map(|pool| pool.lost.packs).sum();
        Ok(json!({"done": short == 0, "copies": short, "lost": lost, "left": view::health(&left)}))
    }

    fn library_list(&self) -> Value {
        let standing = self.engine.house().standing();
        let one = |(name, library): (&String, &Arc<Library>)| {
            let (drives, inventory) = (library.drives(), library.inventory());
            let down = drives.iter().filter(|drive| matches!(drive.state, DriveState::Down { .. })).count();
            let busy = drives.iter().filter(|drive| matches!(drive.state, DriveState::Busy)).count();
            json!({
                "name": name,
                "kind": self.configured.iter().find(|library| library.name == *name).map(LibraryConfig::kind),
                "drives": drives.len(),
                "drives_busy": busy,
                "drives_down": down,
                "slots": inventory.slots.len(),
                "mail_slots": inventory.mail_slots.len(),
                "cartridges": inventory.barcodes().len(),
                "jobs_queued": library.queued(),
                "held_since": standing.held.get(name).map(|since| since.to_string()),
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

    /// A restore, with the cartridges it waits for that are out of reach.
    async fn restore(&self, id: JobId) -> Result<Value, AdminError> {
        let mut answer = self.records.answer(Question::Restore(id)).await?;
        if answer["state"] == "queued"
            && let Some(archive) = answer["archive"].as_str().and_then(|id| id.parse().ok())
        {
            let waits = self.engine.waited_for(archive).await;
            let waits = waits.map_err(|error| AdminError::failed(chain(&error)))?;
            let waits = waits.iter().map(|(barcode, place)| format!("{barcode} at {place}"));
            answer["waits_for"] = json!(waits.collect::<Vec<_>>().join(", "));
        }
        Ok(answer)
    }

    async fn pools(&self) -> Result<Value, AdminError> {
        let pools = self.engine.pools().await.map_err(|error| AdminError::failed(chain(&error)))?;
        let settings = &self.engine.house().settings.pools;
        let rows = pools.iter().map(|pool| view::pool(pool, &settings[&pool.name]));
        Ok(json!({"pools": rows.collect::<Vec<_>>()}))
    }

    async fn inventory(&self, only: Option<String>) -> Result<Value, AdminError> {
        let mut elements = Vec::new();
        let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
        let volumes = self.engine.house().catalog.volumes().await;
        let volumes = volumes.map_err(|error| AdminError::failed(chain(&error)))?;
        for (name, library) in self.libraries().iter().filter(|(name, _)| wanted(name)) {
            let mut rows = view::inventory(name, &look(library.clone()).await?);
            rows.iter_mut().for_each(|row| view::add_volume(row, &volumes));
            elements.extend(rows);
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
        let views = self.engine.buckets().await.map_err(|error| AdminError::failed(chain(&error)))?;
        let row = |view: &BucketView| {
            let mut row = doctor::bucket(view);
            let rules = view::bucket(view.name.as_str(), known.get(view.name.as_str()).copied());
            if let (Some(row), Value::Object(rules)) = (row.as_object_mut(), rules) {
                row.extend(rules);
            }
            row
        };
        Ok(json!({"buckets": views.iter().map(row).collect::<Vec<_>>()}))
    }

    async fn doctor(&self) -> Value {
        let views = self.engine.buckets().await.map_err(|error| chain(&error));
        let libraries = units::survey(&self.configured);
        doctor::report(&self.behind, &*self.engine.house().store, views, true, libraries).await
    }

    async fn probe(&self) -> Result<Value, AdminError> {
        self.behind.probe(&self.data).await.map_err(|error| AdminError::failed(told(&error)))?;
        Ok(self.doctor().await)
    }

    /// Does what is ordered as far as it goes now; what takes longer is asked for again until it is `done`.
    async fn order(&self, name: &BucketName, order: &BucketOrder) -> Result<Value, AdminError> {
        let house = self.engine.house();
        let switch =
            Switch { catalog: &*house.catalog, store: &*house.store, settings: &house.settings.buckets };
        let terms = house.terms(name).await.map_err(|error| AdminError::failed(chain(&error)))?;
        let mut answer = json!({"name": name.as_str(), "done": true});
        match order.action {
            BucketAction::Enable => answer["rules_taken_over"] = json!(switch.enable(name, order).await?),
            BucketAction::Pause => switch.set_mode(name, Mode::Paused, order).await?,
            // Let go of by an earlier try.
            BucketAction::Detach if !terms.mode.is_managed() => {}
            BucketAction::Drain | BucketAction::Detach => {
                if terms.mode != Mode::Draining {
                    switch.set_mode(name, Mode::Draining, order).await?;
                }
                let progress = self.engine.drain_progress(name).await;
                let progress = progress.map_err(|error| AdminError::failed(chain(&error)))?;
                answer["left"] = view::drain(&progress);
                answer["done"] = json!(progress.is_over());
                if order.action == BucketAction::Detach && progress.is_over() {
                    answer["rules"] = switch.let_go(name).await?;
                }
            }
        }
        self.engine.look_again(name);
        let terms = house.terms(name).await.map_err(|error| AdminError::failed(chain(&error)))?;
        answer["mode"] = json!(terms.mode);
        Ok(answer)
    }

    /// Begins what is ordered; what takes longer is asked for again until it is `done`.
    async fn volume_order(&self, id: VolumeId, order: VolumeOrder) -> Result<Value, AdminError> {
        let begun = match order {
            VolumeOrder::Reclaim {} => self.engine.reclaim(id).await,
            VolumeOrder::Retire {} => self.engine.retire(id).await,
            VolumeOrder::GiveUp { accept_loss } => self.engine.give_up(id, accept_loss).await,
            VolumeOrder::Verify {} => self.engine.check(id).await,
        };
        begun.map_err(refused)?;
        let failed = |error: &dyn std::error::Error| AdminError::failed(chain(error));
        let left = self.engine.emptying(id).await.map_err(|error| failed(&error))?;
        let row = self.engine.house().catalog.volume(id).await.map_err(|error| failed(&error))?;
        // Labelled anew since.
        let Some(row) = row else { return Ok(json!({"id": id.to_string(), "done": true})) };
        let mut answer = self.records.answer(Question::Volume(id)).await?;
        answer["done"] = json!(match order {
            VolumeOrder::Reclaim {} => row.state.stage() == VolumeStage::Pending,
            VolumeOrder::Retire {} | VolumeOrder::GiveUp { .. } => {
                row.state.stage() == VolumeStage::Retired && left.left == 0
            }
            VolumeOrder::Verify {} => row.check.is_some_and(|check| check.finished.is_some()),
        });
        answer["left"] = json!({"copies": left.left, "bytes": left.left_bytes, "stuck": left.stuck});
        Ok(answer)
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
            "paused": self.engine.house().standing().migration_paused.is_some(),
            "listed": scanned.listed,
            "due": scanned.due,
            "expired": scanned.expired,
            "skipped": scanned.skipped,
        }))
    }
}

fn refused(refusal: Refusal) -> AdminError {
    match refusal {
        Refusal::Unknown(id) => AdminError::not_found(format!(
            "there is no volume {id}; `tapegate volume list` shows those there are"
        )),
        Refusal::Unfit(why) => AdminError { status: 409, code: "Unfit".to_owned(), message: why },
        Refusal::Failed(error) => AdminError::failed(chain(&error)),
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
            Question::Hold { library, hold } => self.orders.hold(&library, hold).await,
            Question::Drives => Ok(self.drives()),
            Question::DriveHistory { drive } => self.machines.history(&drive),
            Question::Tasks => self.machines.tasks().await,
            Question::Machines(order) => self.machines.order(order).await,
            Question::Restore(id) => self.restore(id).await,
            Question::Pools => self.pools().await,
            Question::Buckets => self.buckets().await,
            Question::Migrate(migrate) => self.migrate(migrate).await,
            Question::PauseMigration(pause) => self.orders.pause(pause).await,
            Question::Bucket { name, order } => self.order(&name, &order).await,
            Question::Doctor => Ok(self.doctor().await),
            Question::Probe => self.probe().await,
            Question::Repair(repair) => self.repair(repair).await,
            Question::VolumeOrder { volume, order } => self.volume_order(volume, order).await,
            of_the_records => self.records.answer(of_the_records).await,
        }
    }
}
