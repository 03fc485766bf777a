//! The tables of kv.rs in a redb file, and how the file is opened.

use std::cell::OnceCell;
use std::path::Path;

use ::redb::{
    Builder, Database, Durability, MultimapTableHandle, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    ReadableTable, ReadableTableMetadata, TableDefinition, TableError, TableHandle, WriteTransaction,
};

use model::limits::TRANSACTION_ROWS_MAX;

use crate::Error;
use crate::error::Cause;
use crate::kv::{Read, TABLES, Table, Visit, Writes};
use crate::snapshot;

type Bytes = &'static [u8];

const fn definition(table: Table) -> TableDefinition<'static, Bytes, Bytes> {
    TableDefinition::new(table.name())
}

/// Facts about the file itself.
const FILE: TableDefinition<'static, &str, u32> = TableDefinition::new("file");
const FORMAT_KEY: &str = "format";
/// Version of the tables and their keys; rows carry their own.
const FORMAT: u32 = 1;
/// Bytes of pages kept in memory; the system's page cache holds the rest.
const CACHE_BYTES: usize = 64 << 20;
/// A smaller file is never compacted.
const COMPACT_BYTES_MIN: u64 = 64 << 20;
/// How many entries at the beginning of a table stand for all of them in an estimate.
const SAMPLE_ENTRIES: usize = 256;

// === opening ===

/// Opens or makes the file, refuses foreign ones, and compacts it when most of it is free.
pub fn open(path: &Path) -> Result<Database, Error> {
    let fault = |source: Cause| Error::Open { path: path.to_owned(), source };
    let mut database =
        Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(|error| fault(error.into()))?;
    let known = settle_format(&database).map_err(|error| fault(error.into()))?;
    known.map_err(|found| Error::UnknownFormat { path: path.to_owned(), found, known: FORMAT })?;
    settle_name(path).map_err(|error| fault(error.into()))?;
    let length = std::fs::metadata(path).map_err(|error| fault(error.into()))?.len();
    if is_mostly_free(&database, length).map_err(|error| fault(error.into()))? {
        tracing::info!(bytes = length, "compacting the catalog");
        database.compact().map_err(|error| fault(error.into()))?;
    }
    Ok(database)
}

/// Makes the file's name durable, without which nothing in a new file is.
pub fn settle_name(path: &Path) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    std::fs::File::open(folder)?.sync_all()
}

/// Writes the format into a new file with all its tables, or tells the one found when it is not ours.
fn settle_format(database: &Database) -> Result<Result<(), String>, ::redb::Error> {
    let read = database.begin_read()?;
    match read.open_table(FILE) {
        Ok(file) => Ok(match file.get(FORMAT_KEY)?.map(|version| version.value()) {
            Some(FORMAT) => Ok(()),
            Some(other) => Err(other.to_string()),
            None => Err("none".to_owned()),
        }),
        Err(TableError::TableDoesNotExist(_)) => {
            if let Some(other) = read.list_tables()?.next() {
                return Ok(Err(format!("none, but a table {:?}", other.name())));
            }
            if let Some(other) = read.list_multimap_tables()?.next() {
                return Ok(Err(format!("none, but a table {:?}", other.name())));
            }
            drop(read);
            let transaction = begin(database)?;
            transaction.open_table(FILE)?.insert(FORMAT_KEY, FORMAT)?;
            for table in Table::ALL {
                transaction.open_table(definition(table))?;
            }
            transaction.commit()?;
            Ok(Ok(()))
        }
        Err(TableError::TableTypeMismatch { .. }) => Ok(Err("of another program".to_owned())),
        Err(error) => Err(error.into()),
    }
}

/// Makes a new file with the rows of a snapshot; returns how many.
pub fn fill(path: &Path, stream: impl std::io::Read) -> Result<u64, Error> {
    let database = open(path)?;
    let mut writes: [Writes; TABLES] = Default::default();
    let mut waiting = 0;
    let rows = snapshot::read(stream, &mut |entries| {
        for ((table, key), value) in entries {
            writes[table as usize].insert(key, Some(value));
        }
        waiting += 1;
        if waiting == TRANSACTION_ROWS_MAX {
            waiting = 0;
            write_all(&database, std::mem::take(&mut writes))?;
        }
        Ok(())
    })?;
    write_all(&database, writes)?;
    Ok(rows)
}

fn write_all(database: &Database, writes: [Writes; TABLES]) -> Result<(), Error> {
    let transaction = Transaction::begin(database)?;
    let mut tables = transaction.tables()?;
    for (table, writes) in Table::ALL.into_iter().zip(writes) {
        tables.write(table, &writes)?;
    }
    drop(tables);
    transaction.commit()
}

/// Whether less than half of a large file holds anything. Measuring reads the whole file, so it is done only where an
/// estimate from the number of entries says that it will be so.
fn is_mostly_free(database: &Database, length: u64) -> Result<bool, ::redb::Error> {
    if length < COMPACT_BYTES_MIN {
        return Ok(false);
    }
    let read = database.begin_read()?;
    let mut estimate = 0_u64;
    for table in Table::ALL {
        let table = read.open_table(definition(table))?;
        let (mut entries, mut bytes) = (0_u64, 0_u64);
        for entry in table.iter()?.take(SAMPLE_ENTRIES) {
            let (key, value) = entry?;
            entries += 1;
            bytes += (key.value().len() + value.value().len()) as u64;
        }
        estimate = estimate.saturating_add(table.len()?.saturating_mul(bytes / entries.max(1)));
    }
    drop(read);
    // Pages of a tree written in random order are about two thirds full.
    if estimate.saturating_mul(3) > length {
        return Ok(false);
    }
    let transaction = begin(database)?;
    let stats = transaction.stats()?;
    transaction.abort()?;
    Ok(stats.allocated_pages().saturating_mul(stats.page_size() as u64) < length / 2)
}

fn begin(database: &Database) -> Result<WriteTransaction, ::redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

// === reading ===

/// A consistent view; tables are opened when first asked.
pub struct View {
    transaction: ReadTransaction,
    tables: [OnceCell<ReadOnlyTable<Bytes, Bytes>>; TABLES],
}

impl View {
    /// The view of a transaction.
    pub fn new(transaction: ReadTransaction) -> Self {
        Self { transaction, tables: Default::default() }
    }

    fn table(&self, table: Table) -> Result<&ReadOnlyTable<Bytes, Bytes>, Error> {
        let cell = &self.tables[table as usize];
        match cell.get() {
            Some(open) => Ok(open),
            None => {
                let open = self.transaction.open_table(definition(table));
                let open = open.map_err(|error| unreadable(table, error))?;
                Ok(cell.get_or_init(|| open))
            }
        }
    }
}

impl Read for View {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        get(self.table(table)?, table, key)
    }
    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        scan(self.table(table)?, table, from, visit)
    }
}

fn get(open: &impl ReadableTable<Bytes, Bytes>, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let value = open.get(key).map_err(|error| unreadable(table, error))?;
    Ok(value.map(|value| value.value().to_vec()))
}

fn scan(
    open: &impl ReadableTable<Bytes, Bytes>,
    table: Table,
    from: &[u8],
    visit: &mut Visit<'_>,
) -> Result<(), Error> {
    let entries = open.range(from..).map_err(|error| unreadable(table, error))?;
    for entry in entries {
        let (key, value) = entry.map_err(|error| unreadable(table, error))?;
        if visit(key.value(), value.value()).is_break() {
            break;
        }
    }
    Ok(())
}

fn unreadable(table: Table, error: impl Into<Cause>) -> Error {
    Error::Read { table: table.name(), source: error.into() }
}

// === writing ===

/// A transaction under way; dropping it undoes it.
pub struct Transaction(WriteTransaction);

impl Transaction {
    /// Begins a transaction that will be durable when it is committed, and quick to recover from.
    pub fn begin(database: &Database) -> Result<Self, Error> {
        begin(database).map(Self).map_err(unwritable)
    }

    /// The tables to read and write in it.
    pub fn tables(&self) -> Result<OpenTables<'_>, Error> {
        let open = |table| self.0.open_table(definition(table)).map_err(unwritable);
        let tables: Result<Vec<_>, Error> = Table::ALL.into_iter().map(open).collect();
        Ok(OpenTables(tables?))
    }

    /// Makes everything durable.
    pub fn commit(self) -> Result<(), Error> {
        self.0.commit().map_err(unwritable)
    }
}

/// All tables of a transaction, in the order of [`Table::ALL`].
pub struct OpenTables<'t>(Vec<::redb::Table<'t, Bytes, Bytes>>);

impl OpenTables<'_> {
    /// Makes the writes to one table.
    pub fn write(&mut self, table: Table, writes: &Writes) -> Result<(), Error> {
        let open = &mut self.0[table as usize];
        for (key, value) in writes {
            let done = match value {
                Some(value) => open.insert(key.as_slice(), value.as_slice()),
                None => open.remove(key.as_slice()),
            };
            done.map_err(unwritable)?;
        }
        Ok(())
    }
}

impl Read for OpenTables<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        get(&self.0[table as usize], table, key)
    }
    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        scan(&self.0[table as usize], table, from, visit)
    }
}

fn unwritable(error: impl Into<Cause>) -> Error {
    Error::Write { source: error.into() }
}
