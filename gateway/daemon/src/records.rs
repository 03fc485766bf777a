//! What the book of record alone can answer, whether or not a gateway runs.

use std::sync::Arc;

use async_trait::async_trait;
use console::{Admin, AdminError, PAGE_ROWS, Question};
use model::catalog::{Catalog, CatalogError};
use model::volume::{Volume, VolumeStage};
use serde_json::{Value, json};

use crate::error::chain;
use crate::keys_in_use::{self, keys_in_use};
use crate::view;

/// Most ends and changes counted that no tape knows.
const UNTOLD_MAX: usize = 1_000;

/// The book of record, asked by an administrator.
pub struct Records {
    catalog: Arc<dyn Catalog>,
}

impl Records {
    /// Answers from this book.
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self { catalog }
    }

    /// The volumes. A row that is only being prepared is none yet: its cartridge may turn out to be somebody else's.
    async fn volumes(&self) -> Result<Vec<Volume>, CatalogError> {
        let mut volumes = self.catalog.volumes().await?;
        volumes.retain(|volume| volume.state.stage() != VolumeStage::Preparing);
        Ok(volumes)
    }

    async fn status(&self) -> Result<Value, CatalogError> {
        let mut status = view::counts(&self.catalog.counts().await?);
        status["volumes"] = view::volume_counts(&self.volumes().await?);
        // Asked for first: what was looked at meanwhile is among the untold then.
        status["touched"] = json!(self.catalog.archives_touched(None, UNTOLD_MAX).await?.len());
        let untold = self.catalog.archives_untold(None, UNTOLD_MAX).await?;
        status["untold"] = json!(untold.len());
        status["untold_since"] =
            json!(untold.first().and_then(|row| row.untold()).map(|since| since.to_string()));
        status["degraded"] = view::health(&engine::health(&*self.catalog).await?);
        status["version"] = json!(env!("CARGO_PKG_VERSION"));
        status["running"] = json!(false);
        Ok(status)
    }

    async fn volume_list(&self) -> Result<Value, CatalogError> {
        let mut rows = Vec::new();
        for volume in self.volumes().await? {
            rows.push(view::volume(&volume, engine::usage(&*self.catalog, volume.id).await?));
        }
        Ok(json!({"volumes": rows}))
    }

    /// A volume, with what would be lost with it.
    async fn volume(&self, volume: &Volume) -> Result<Value, CatalogError> {
        let mut row = view::volume(volume, engine::usage(&*self.catalog, volume.id).await?);
        row["only_here"] = view::exposure(&engine::exposure(&*self.catalog, volume.id).await?);
        Ok(row)
    }

    async fn packs_on(
        &self,
        volume: model::VolumeId,
        after: Option<model::PackId>,
    ) -> Result<Value, CatalogError> {
        let copies = self.catalog.copies_on(volume, after, PAGE_ROWS).await?;
        let mut packs = Vec::with_capacity(copies.len());
        for copy in &copies {
            packs.push(view::pack_copy(copy, self.catalog.pack(copy.pack).await?.as_ref()));
        }
        let next = copies.last().filter(|_| copies.len() == PAGE_ROWS).map(|copy| copy.pack.to_string());
        Ok(json!({"packs": packs, "next": next}))
    }

    async fn archives_of(
        &self,
        pack: model::PackId,
        after: Option<model::ArchiveId>,
    ) -> Result<Value, CatalogError> {
        let rows = self.catalog.archives_of_pack(pack, after, PAGE_ROWS).await?;
        let next = rows.last().filter(|_| rows.len() == PAGE_ROWS).map(|row| row.id.to_string());
        Ok(json!({"archives": rows.iter().map(view::archive).collect::<Vec<_>>(), "next": next}))
    }

    async fn restores(
        &self,
        stage: model::restore::RestoreStage,
        after: Option<model::JobId>,
    ) -> Result<Value, CatalogError> {
        let rows = self.catalog.restores_in(stage, after, PAGE_ROWS).await?;
        let next = rows.last().filter(|_| rows.len() == PAGE_ROWS).map(|row| row.id.to_string());
        Ok(json!({"restores": rows.iter().map(view::restore).collect::<Vec<_>>(), "next": next}))
    }
}

#[async_trait]
impl Admin for Records {
    async fn answer(&self, question: Question) -> Result<Value, AdminError> {
        let answer = match question {
            Question::Status => self.status().await,
            Question::Volumes => self.volume_list().await,
            Question::Volume(id) => match self.catalog.volume(id).await {
                Ok(None) => return Err(AdminError::not_found(format!("there is no volume {id}"))),
                Ok(Some(row)) => self.volume(&row).await,
                Err(error) => Err(error),
            },
            Question::PacksOn { volume, after } => self.packs_on(volume, after).await,
            Question::ArchivesOf { pack, after } => self.archives_of(pack, after).await,
            Question::Restores { stage, after } => self.restores(stage, after).await,
            Question::Restore(id) => match self.catalog.restore(id).await {
                Ok(None) => return Err(AdminError::not_found(format!("there is no restore {id}"))),
                found => found.map(|row| row.as_ref().map_or(Value::Null, view::restore)),
            },
            Question::Keys => keys_in_use(&*self.catalog).await.map(|keys| keys_in_use::view(&keys)),
            Question::Buckets => {
                let buckets = self.catalog.buckets().await;
                let row = |bucket: &model::catalog::Bucket| {
                    let mut row = view::bucket(bucket.name.as_str(), Some(bucket));
                    // What the configuration says is known to the gateway alone.
                    row["mode"] = json!(bucket.terms.map(|terms| terms.mode));
                    row
                };
                buckets.map(|rows| json!({"buckets": rows.iter().map(row).collect::<Vec<_>>()}))
            }
            Question::Libraries
            | Question::Inventory { .. }
            | Question::Drives
            | Question::DriveHistory { .. }
            | Question::Tasks
            | Question::Machines(_)
            | Question::Hold { .. }
            | Question::Pools
            | Question::Migrate(_)
            | Question::PauseMigration(_)
            | Question::Bucket { .. }
            | Question::Doctor
            | Question::Probe
            | Question::Repair(_)
            | Question::VolumeOrder { .. } => {
                return Err(AdminError {
                    status: 503,
                    code: "NotRunning".to_owned(),
                    message: "this needs a gateway that runs; start it with `tapegate serve`".to_owned(),
                });
            }
        };
        answer.map_err(|error| AdminError::failed(chain(&error)))
    }
}
