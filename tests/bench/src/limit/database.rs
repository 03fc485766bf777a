//! A bare redb: durable commits of rows the size of an object's record.

use std::path::Path;

use redb::{Database, TableDefinition};

use super::repeat;
use crate::error::{Error, Result};
use crate::report::Row;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
const RECORD_BYTES: usize = 300;

/// What a database does after a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// It reads itself whole: a commit writes the least.
    Whole,
    /// It opens at once: a commit also writes what is allocated, and syncs twice. The server's databases do.
    Quick,
}

/// Commits of so many rows each, one after another, every one waited for until it is on the disk.
pub fn commits(folder: &Path, rows: u64, repair: Repair) -> Result<Row> {
    let suffix = match repair {
        Repair::Whole => "",
        Repair::Quick => ", quick repair",
    };
    let name = format!("redb rows, {rows} per commit{suffix}");
    let database = Database::create(folder.join(format!("{name}.redb"))).map_err(failed)?;
    let mut next = 0;
    repeat(&name, || {
        let mut transaction = database.begin_write().map_err(failed)?;
        transaction.set_quick_repair(repair == Repair::Quick);
        {
            let mut table = transaction.open_table(TABLE).map_err(failed)?;
            for _ in 0..rows {
                table.insert(next, &[7; RECORD_BYTES][..]).map_err(failed)?;
                next += 1;
            }
        }
        transaction.commit().map_err(failed)?;
        Ok((rows, rows * RECORD_BYTES as u64))
    })
}

fn failed(error: impl Into<redb::Error>) -> Error {
    Error::Database(Box::new(error.into()))
}
