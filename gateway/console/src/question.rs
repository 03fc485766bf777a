//! Everything that can be asked, and how each question is written as a request.
//!
//! Names and ids in questions are made of letters, digits, `-`, `.` and `_` only, so nothing is percent-encoded.

mod orders;

use std::collections::BTreeMap;

use model::restore::RestoreStage;
use model::{ArchiveId, BucketName, JobId, PackId, PoolName, VolumeId};

use crate::MachineOrder;
pub use orders::{BucketAction, BucketOrder, Migrate, Repair, VolumeOrder};

/// Most rows of a listing in one answer.
pub const PAGE_ROWS: usize = 1_000;

/// Longest name of a library in a question.
const LIBRARY_NAME_MAX: usize = 64;

/// Longest serial number of a drive in a question.
const SERIAL_MAX: usize = 64;

/// One thing to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// How everything is: `GET /v1/status`.
    Status,
    /// The libraries: `GET /v1/libraries`.
    Libraries,
    /// What is where: `GET /v1/inventory?library=`.
    Inventory {
        /// One library; all when none is named.
        library: Option<String>,
    },
    /// The drives: `GET /v1/drives`.
    Drives,
    /// What a drive has been through: `GET /v1/drives/<serial>/history`.
    DriveHistory {
        /// Its serial number.
        drive: String,
    },
    /// What only hands can do: `GET /v1/tasks`.
    Tasks,
    /// Orders to libraries and drives: `POST /v1/machines` with a [`MachineOrder`].
    Machines(MachineOrder),
    /// Mounts nothing in a library, or goes on: `POST /v1/libraries/<name>` with `{"hold": true}`.
    Hold {
        /// The library.
        library: String,
        /// Whether it is held from now on.
        hold: bool,
    },
    /// The pools: `GET /v1/pools`.
    Pools,
    /// All volumes: `GET /v1/volumes`.
    Volumes,
    /// One volume: `GET /v1/volumes/<uuid>`.
    Volume(VolumeId),
    /// Has something done with a volume: `POST /v1/volumes/<uuid>` with a [`VolumeOrder`]. Answers how far it is; asked
    /// again until `done`.
    VolumeOrder {
        /// The volume.
        volume: VolumeId,
        /// What to do.
        order: VolumeOrder,
    },
    /// A page of the packs on a volume: `GET /v1/volumes/<uuid>/packs?after=`.
    PacksOn {
        /// The volume.
        volume: VolumeId,
        /// Those after this one.
        after: Option<PackId>,
    },
    /// A page of the archives in a pack: `GET /v1/packs/<id>/archives?after=`.
    ArchivesOf {
        /// The pack.
        pack: PackId,
        /// Those after this one.
        after: Option<ArchiveId>,
    },
    /// A page of the restores of one stage, oldest first: `GET /v1/restores?stage=&after=`.
    Restores {
        /// The stage.
        stage: RestoreStage,
        /// Those after this one.
        after: Option<JobId>,
    },
    /// One restore: `GET /v1/restores/<id>`.
    Restore(JobId),
    /// The sealing keys that packs need: `GET /v1/keys`.
    Keys,
    /// The buckets: `GET /v1/buckets`.
    Buckets,
    /// Changes how far the gateway goes with a bucket: `POST /v1/buckets/<name>` with a [`BucketOrder`].
    Bucket {
        /// The bucket.
        name: BucketName,
        /// What to do.
        order: BucketOrder,
    },
    /// What the store can do, and what becomes of each bucket: `GET /v1/doctor`.
    Doctor,
    /// Tries anew what the store can do: `POST /v1/probe`. Answers as [`Question::Doctor`].
    Probe,
    /// Makes the copies again that pools are short of: `POST /v1/repair` with `{"pool": "p"}`. Answers what is left;
    /// asked again until `done`.
    Repair(Repair),
    /// Look for what the rules make due, now: `POST /v1/migrate` with `{"bucket": "b", "dry_run": true}`.
    Migrate(Migrate),
    /// Moves nothing more to tape, or goes on: `POST /v1/migration` with `{"pause": true}`.
    PauseMigration(bool),
}

/// The request is no question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// Nothing is asked for under this path.
    #[error("there is no {method} {path} here")]
    Unknown {
        /// Method.
        method: String,
        /// Path.
        path: String,
    },
    /// A part of the path, a parameter or the body is not what it should be.
    #[error("{what} {text:?} cannot be understood")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// What it was.
        text: String,
    },
}

impl Question {
    /// The HTTP method it is asked with.
    pub fn method(&self) -> &'static str {
        match self {
            Self::Migrate(_)
            | Self::Bucket { .. }
            | Self::Probe
            | Self::Repair(_)
            | Self::VolumeOrder { .. }
            | Self::Machines(_)
            | Self::Hold { .. }
            | Self::PauseMigration(_) => "POST",
            _ => "GET",
        }
    }

    /// Path and query it is asked under.
    pub fn path(&self) -> String {
        match self {
            Self::Status => "/v1/status".to_owned(),
            Self::Libraries => "/v1/libraries".to_owned(),
            Self::Inventory { library: None } => "/v1/inventory".to_owned(),
            Self::Inventory { library: Some(name) } => format!("/v1/inventory?library={name}"),
            Self::Drives => "/v1/drives".to_owned(),
            Self::DriveHistory { drive } => format!("/v1/drives/{drive}/history"),
            Self::Tasks => "/v1/tasks".to_owned(),
            Self::Machines(_) => "/v1/machines".to_owned(),
            Self::Hold { library, .. } => format!("/v1/libraries/{library}"),
            Self::Pools => "/v1/pools".to_owned(),
            Self::Volumes => "/v1/volumes".to_owned(),
            Self::Volume(id) | Self::VolumeOrder { volume: id, .. } => format!("/v1/volumes/{id}"),
            Self::PacksOn { volume, after } => after_in(format!("/v1/volumes/{volume}/packs?"), *after),
            Self::ArchivesOf { pack, after } => after_in(format!("/v1/packs/{pack}/archives?"), *after),
            Self::Restores { stage, after } => {
                after_in(format!("/v1/restores?stage={}&", stage_name(*stage)), *after)
            }
            Self::Restore(id) => format!("/v1/restores/{id}"),
            Self::Keys => "/v1/keys".to_owned(),
            Self::Buckets => "/v1/buckets".to_owned(),
            Self::Bucket { name, .. } => format!("/v1/buckets/{name}"),
            Self::Doctor => "/v1/doctor".to_owned(),
            Self::Probe => "/v1/probe".to_owned(),
            Self::Migrate(_) => "/v1/migrate".to_owned(),
            Self::Repair(_) => "/v1/repair".to_owned(),
            Self::PauseMigration(_) => "/v1/migration".to_owned(),
        }
    }

    /// The body it is asked with; empty for none.
    pub fn body(&self) -> String {
        match self {
            Self::Migrate(migrate) => serde_json::to_string(migrate).expect("plain data"),
            Self::Machines(order) => serde_json::to_string(order).expect("plain data"),
            Self::Bucket { order, .. } => serde_json::to_string(order).expect("plain data"),
            Self::Repair(repair) => serde_json::to_string(repair).expect("plain data"),
            Self::VolumeOrder { order, .. } => serde_json::to_string(order).expect("plain data"),
            Self::Hold { hold, .. } => format!(r#"{{"hold":{hold}}}"#),
            Self::PauseMigration(pause) => format!(r#"{{"pause":{pause}}}"#),
            _ => String::new(),
        }
    }

    /// Understands a request.
    pub fn parse(method: &str, path: &str, query: &str, body: &[u8]) -> Result<Self, BadQuestion> {
        let unknown = || BadQuestion::Unknown { method: method.to_owned(), path: clipped(path) };
        let parts: Vec<&str> = path.strip_prefix("/v1/").ok_or_else(unknown)?.split('/').collect();
        let mut query = parameters(query)?;
        let question = match (method, &parts[..]) {
            ("GET", ["status"]) => Self::Status,
            ("GET", ["libraries"]) => Self::Libraries,
            ("GET", ["inventory"]) => Self::Inventory { library: library(&mut query)? },
            ("GET", ["drives"]) => Self::Drives,
            ("GET", ["drives", drive, "history"]) => Self::DriveHistory { drive: serial(drive)? },
            ("GET", ["tasks"]) => Self::Tasks,
            ("POST", ["machines"]) => Self::Machines(order(body)?),
            ("POST", ["libraries", name]) => {
                Self::Hold { library: library_name(name)?, hold: flag("hold", body)? }
            }
            ("GET", ["pools"]) => Self::Pools,
            ("GET", ["volumes"]) => Self::Volumes,
            ("GET", ["volumes", id]) => Self::Volume(parsed("the volume", id)?),
            ("POST", ["volumes", id]) => {
                Self::VolumeOrder { volume: parsed("the volume", id)?, order: order(body)? }
            }
            ("GET", ["volumes", id, "packs"]) => {
                Self::PacksOn { volume: parsed("the volume", id)?, after: after(&mut query)? }
            }
            ("GET", ["packs", id, "archives"]) => {
                Self::ArchivesOf { pack: parsed("the pack", id)?, after: after(&mut query)? }
            }
            ("GET", ["restores"]) => Self::Restores { stage: stage(&mut query)?, after: after(&mut query)? },
            ("GET", ["restores", id]) => Self::Restore(parsed("the restore", id)?),
            ("GET", ["keys"]) => Self::Keys,
            ("GET", ["buckets"]) => Self::Buckets,
            ("POST", ["buckets", name]) => Self::Bucket { name: bucket_name(name)?, order: order(body)? },
            ("GET", ["doctor"]) => Self::Doctor,
            ("POST", ["probe"]) => Self::Probe,
            ("POST", ["migrate"]) => Self::Migrate(migrate(body)?),
            ("POST", ["repair"]) => Self::Repair(repair(body)?),
            ("POST", ["migration"]) => Self::PauseMigration(flag("pause", body)?),
            _ => return Err(unknown()),
        };
        match query.into_keys().next() {
            Some(name) => Err(malformed("the parameter", name)),
            None => Ok(question),
        }
    }
}

/// The stage as it stands in questions and answers: its name in lower case.
pub(crate) fn stage_name(stage: RestoreStage) -> String {
    format!("{stage:?}").to_ascii_lowercase()
}

fn after_in(path: String, after: Option<impl std::fmt::Display>) -> String {
    match after {
        Some(after) => format!("{path}after={after}"),
        None => path.trim_end_matches(['?', '&']).to_owned(),
    }
}

fn parameters(query: &str) -> Result<BTreeMap<&str, &str>, BadQuestion> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| malformed("the parameter", pair))?;
        if found.insert(name, value).is_some() {
            return Err(malformed("the repeated parameter", name));
        }
    }
    Ok(found)
}

fn library(query: &mut BTreeMap<&str, &str>) -> Result<Option<String>, BadQuestion> {
    let Some(name) = query.remove("library") else {
        return Ok(None);
    };
    library_name(name).map(Some)
}

fn library_name(name: &str) -> Result<String, BadQuestion> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let legal = (1..=LIBRARY_NAME_MAX).contains(&name.len()) && name.bytes().all(plain);
    if legal { Ok(name.to_owned()) } else { Err(malformed("the library", name)) }
}

/// A body of one flag.
fn flag(name: &str, body: &[u8]) -> Result<bool, BadQuestion> {
    let read: Option<BTreeMap<String, bool>> = serde_json::from_slice(body).ok();
    let read = read.filter(|read| read.len() == 1).and_then(|read| read.get(name).copied());
    read.ok_or_else(|| malformed("the body", &String::from_utf8_lossy(body)))
}

fn stage(query: &mut BTreeMap<&str, &str>) -> Result<RestoreStage, BadQuestion> {
    let name = query.remove("stage").unwrap_or_default();
    let found = RestoreStage::ALL.into_iter().find(|stage| stage_name(*stage) == name);
    found.ok_or_else(|| malformed("the stage", name))
}

fn after<T: std::str::FromStr>(query: &mut BTreeMap<&str, &str>) -> Result<Option<T>, BadQuestion> {
    query.remove("after").map(|text| parsed("the parameter after", text)).transpose()
}

/// A drive's serial number as far as it can be asked for.
fn serial(text: &str) -> Result<String, BadQuestion> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let fits = (1..=SERIAL_MAX).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_owned()).ok_or_else(|| malformed("the drive", text))
}

fn bucket_name(text: &str) -> Result<BucketName, BadQuestion> {
    BucketName::parse(text).map_err(|_| malformed("the bucket", text))
}

fn order<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, BadQuestion> {
    serde_json::from_slice(body).map_err(|_| malformed("the body", &String::from_utf8_lossy(body)))
}

fn migrate(body: &[u8]) -> Result<Migrate, BadQuestion> {
    if body.is_empty() {
        return Ok(Migrate::default());
    }
    let text = || String::from_utf8_lossy(body).into_owned();
    let migrate: Migrate = serde_json::from_slice(body).map_err(|_| malformed("the body", &text()))?;
    // A name that came as text is not parsed yet.
    let legal = migrate.bucket.as_ref().is_none_or(|name| BucketName::parse(name.as_str()).is_ok());
    if legal { Ok(migrate) } else { Err(malformed("the bucket in", &text())) }
}

fn repair(body: &[u8]) -> Result<Repair, BadQuestion> {
    if body.is_empty() {
        return Ok(Repair::default());
    }
    let text = || String::from_utf8_lossy(body).into_owned();
    let repair: Repair = serde_json::from_slice(body).map_err(|_| malformed("the body", &text()))?;
    let legal = repair.pool.as_ref().is_none_or(|name| PoolName::parse(name.as_str()).is_ok());
    if legal { Ok(repair) } else { Err(malformed("the pool in", &text())) }
}

fn parsed<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, BadQuestion> {
    text.parse().map_err(|_| malformed(what, text))
}

fn malformed(what: &'static str, text: &str) -> BadQuestion {
    BadQuestion::Malformed { what, text: clipped(text) }
}

fn clipped(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::MachineAction;

    #[test]
    fn every_question_comes_back_from_its_request() {
        let (volume, pack) = (VolumeId::from_u128(7), PackId::new(1, 2));
        let bucket = Some(BucketName::parse("my.bucket-1").unwrap());
        let mut questions = vec![
            Question::Status,
            Question::Libraries,
            Question::Inventory { library: None },
            Question::Inventory { library: Some("main_2".to_owned()) },
            Question::Drives,
            Question::DriveHistory { drive: "TG01D00".to_owned() },
            Question::Tasks,
            Question::Machines(MachineOrder {
                action: MachineAction::Unload { name: "TG0001L9".to_owned() },
                ticket: "7".to_owned(),
            }),
            Question::Hold { library: "main".to_owned(), hold: true },
            Question::Pools,
            Question::PauseMigration(false),
            Question::Volumes,
            Question::Volume(volume),
            Question::VolumeOrder { volume, order: VolumeOrder::Reclaim {} },
            Question::VolumeOrder { volume, order: VolumeOrder::Retire {} },
            Question::VolumeOrder { volume, order: VolumeOrder::GiveUp { accept_loss: true } },
            Question::VolumeOrder { volume, order: VolumeOrder::Verify {} },
            Question::PacksOn { volume, after: None },
            Question::PacksOn { volume, after: Some(pack) },
            Question::ArchivesOf { pack, after: None },
            Question::ArchivesOf { pack, after: Some(ArchiveId::new(3, 4)) },
            Question::Restore(JobId::new(5, 6)),
            Question::Keys,
            Question::Buckets,
            Question::Bucket {
                name: BucketName::parse("my.bucket-1").unwrap(),
                order: BucketOrder { exclusive: Some(true), ..BucketAction::Enable.into() },
            },
            Question::Doctor,
            Question::Probe,
            Question::Migrate(Migrate::default()),
            Question::Migrate(Migrate { bucket, dry_run: true }),
            Question::Repair(Repair::default()),
            Question::Repair(Repair { pool: Some(PoolName::parse("glacier-2").unwrap()) }),
        ];
        questions.extend(RestoreStage::ALL.map(|stage| Question::Restores { stage, after: None }));
        for question in questions {
            let path = question.path();
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            let again = Question::parse(question.method(), path, query, question.body().as_bytes());
            assert_eq!(again, Ok(question));
        }
    }

    #[test]
    fn what_is_no_question_is_refused() {
        for (method, path, query, body) in [
            ("GET", "/", "", ""),
            ("GET", "/v1", "", ""),
            ("DELETE", "/v1/status", "", ""),
            ("GET", "/v1/migrate", "", ""),
            ("GET", "/v1/status", "x=1", ""),
            ("GET", "/v1/volumes/x", "", ""),
            ("GET", "/v1/restores", "", ""),
            ("GET", "/v1/restores", "stage=odd", ""),
            ("GET", "/v1/inventory", "library=a/b", ""),
            ("GET", "/v1/inventory", "library=a&library=b", ""),
            ("POST", "/v1/buckets/NO", "", r#"{"action":"pause"}"#),
            ("POST", "/v1/buckets/bucket", "", ""),
            ("POST", "/v1/buckets/bucket", "", r#"{"action":"drop"}"#),
            ("GET", "/v1/probe", "", ""),
            ("GET", "/v1/machines", "", ""),
            ("POST", "/v1/machines", "", r#"{"do":{"explode":{}}}"#),
            ("POST", "/v1/machines", "", r#"{"do":{"unload":{"name":"a","now":true}}}"#),
            ("POST", "/v1/libraries/a.b", "", r#"{"hold":true}"#),
            ("POST", "/v1/libraries/main", "", r#"{"pause":true}"#),
            ("POST", "/v1/migration", "", "{}"),
            ("POST", "/v1/migrate", "", "1"),
            ("POST", "/v1/migrate", "", r#"{"bucket":"NO"}"#),
            ("POST", "/v1/migrate", "", r#"{"drop":true}"#),
            ("GET", "/v1/repair", "", ""),
            ("POST", "/v1/volumes/x", "", r#"{"action":"verify"}"#),
            ("POST", "/v1/volumes/00000000-0000-0000-0000-000000000007", "", r#"{"action":"burn"}"#),
            ("POST", "/v1/volumes/00000000-0000-0000-0000-000000000007", "", r#"{"action":"retire","x":1}"#),
            ("POST", "/v1/repair", "", r#"{"pool":"A B"}"#),
        ] {
            assert!(
                Question::parse(method, path, query, body.as_bytes()).is_err(),
                "{method} {path}?{query} {body}"
            );
        }
    }
}
