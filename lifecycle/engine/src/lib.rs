//! The work behind the requests: rules, migration to tape, restores, and the end of restored copies.
//!
//! Words: *plan* (what to do, pure and immutable), *attempt* (one try at a flip), *piece* (a segment of an object to
//! be read from a volume), *stage* (one loop of [`Engine`]).
//!
//! Migration: scan -> rules -> plan -> packing (spool) -> writing (tape) -> verify -> promote (`Taped`) -> flip.
//! Restore: queue (route) -> schedule -> recall (tape to store) -> lapse.
//! Volumes: evacuate (empties what is reclaimed or retired) -> renew (labelled anew); checks (full read-backs on request).
//! Copies: damage or a lost volume -> wanted -> remake (from a copy that is left, to the spool) -> writing -> verify.
//! Back to a plain bucket: drain (which, restored some at a time) -> bring_back (one object).
//! Out of the library and back: vault (orders to leave) -> tasks (what people do) -> arrivals.
//! Beside them: resolve looks again at what clients touched; set_aside keeps poison out of the way.
//!
//! - At every arrow the hot bytes or every copy on tape exist.
//! - A row leaves a queue only after its successor is durable; a returned restore keeps its original date.
//! - Losing a hint costs a poll interval, never an object.
//!
//! Not here: what a client is told (edge), where rows are kept (catalog), what a cartridge looks like (tapelib).

mod appender;
mod arrivals;
mod assembly;
mod bring_back;
mod buckets;
mod builder;
mod canary;
mod checks;
mod copies;
mod damage;
mod drain;
mod due;
mod error;
mod evacuate;
mod exposure;
mod fence;
mod fit;
mod flip;
mod flips;
mod forget;
mod gates;
mod health;
mod hot;
mod house;
mod kept;
mod lapse;
mod listed;
mod mounts;
mod notice;
mod orders;
mod outbox;
mod pace;
mod packing;
mod pauses;
mod places;
pub mod plan;
mod pools;
mod promote;
mod queue;
mod reader;
mod readings;
pub mod rebuild;
mod recall;
mod record;
mod refusals;
mod remake;
mod renew;
mod repair;
mod resolve;
mod rest;
mod rules;
mod scan;
pub mod schedule;
mod scratch;
mod seals;
mod set_aside;
mod settings;
mod sources;
mod spool;
mod spool_check;
mod stage;
mod standing;
mod start;
mod step;
mod stretched;
mod stuck;
mod tasks;
mod trouble;
mod turns;
mod unclaimed;
mod untold;
mod vanished;
mod vault;
mod verify;
mod versions;
mod volumes;
mod wait;
mod wanted;
mod worker;
mod writing;

pub use arrivals::{Arrival, Arrived};
pub use buckets::BucketView;
pub use drain::DrainProgress;
pub use error::Error;
pub use exposure::{Exposure, Usage, exposure, usage};
pub use fence::MemoryFence;
pub use health::{Health, Shortage, Tally, health};
pub use house::{House, Parts};
pub use notice::Notice;
pub use orders::{Emptying, Refusal};
pub use pauses::Standing;
pub use pools::{Forecast, PoolView};
pub use rules::{Action, Subject, due};
pub use scan::Scanned;
pub use settings::{Affinity, Compression, PoolSettings, Settings, SpoolSettings, Verify};
pub use stuck::Stuck;
pub use tasks::{Task, TaskKind};
pub use vault::{Export, ExportOrder};
pub use worker::Engine;
