//! A bare redb: durable commits of rows the size of an object's record.

use std::path::Path;

use redb::{Database, TableDefinition};

use super::repeat;
use crate::error::{Error, Result};
use crate::report::Row;

const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
const RECORD_BYTES: usize = 300;

/// Commits of so many rows each, one after another, every one waited for until it is on the disk.
pub fn commits(folder: &Path, rows: u64) -> Result<Row> {
    let database = Database::create(folder.join(format!("commits-{rows}.redb"))).map_err(failed)?;
    let mut next = 0;
    repeat(&format!("redb rows, {rows} per commit"), || {
        let transaction = database.begin_write().map_err(failed)?;
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
