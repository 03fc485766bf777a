//! PUT and GET of both sizes, by one client and by sixteen.

use std::time::Duration;

use http::Method;

use crate::client::{Ask, Signing};
use crate::data::Size;
use crate::error::{Result, file};
use crate::load::{Action, Cell, Setting};
use crate::report::Report;

/// Length of a cell of small objects.
const SMALL_TIME: Duration = Duration::from_secs(2);
/// Longest a cell of large objects goes on sending.
const LARGE_TIME_MAX: Duration = Duration::from_secs(10);
/// Large objects put by a cell: this many, and more for every client.
const LARGE_PUTS: usize = 16;
/// Large objects read by a cell.
const LARGE_GETS: usize = 64;
/// Large objects that are kept at once.
const LARGE_KEYS: usize = 16;

/// Measures all cells.
///
/// # Errors
/// The first error of any request.
pub async fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let mut client = setting.target.connect().await?;
    for size in [Size::Small, Size::Large] {
        let bucket = match size {
            Size::Small => "bench-small",
            Size::Large => "bench-large",
        };
        let create = Ask::new(Method::PUT, format!("/{bucket}"));
        client.text(create).await?;
        let mut stored = 0;
        for (action, concurrency, name) in PLAN {
            // What the hash of the payload costs shows at large sizes only.
            if size == Size::Small && action == Action::Put(Signing::Unsigned) {
                continue;
            }
            let cell = cell(bucket, size, action, concurrency, stored);
            let name = format!("{name} {} c{concurrency}", size.name());
            let row = cell.run(setting, name).await?;
            if let Action::Put(_) = action {
                let keys = usize::try_from(row.count).unwrap_or(usize::MAX);
                stored = stored.max(keys.min(cell.keys));
            }
            report.add(row).map_err(file("writing the report"))?;
        }
    }
    Ok(())
}

fn cell(bucket: &str, size: Size, action: Action, concurrency: usize, stored: usize) -> Cell {
    let (count_max, time_max) = match (size, action) {
        (Size::Small, _) => (usize::MAX, SMALL_TIME),
        (Size::Large, Action::Get) => (LARGE_GETS, LARGE_TIME_MAX),
        (Size::Large, _) => (LARGE_PUTS + 2 * concurrency, LARGE_TIME_MAX),
    };
    let keys = match (size, action) {
        (_, Action::Get) => stored,
        (Size::Small, _) => usize::MAX,
        (Size::Large, _) => LARGE_KEYS,
    };
    Cell { action, bucket: bucket.to_owned(), size, concurrency, count_max, time_max, keys }
}

const PLAN: [(Action, usize, &str); 5] = [
    (Action::Put(Signing::Hashed), 1, "PUT"),
    (Action::Put(Signing::Hashed), 16, "PUT"),
    (Action::Put(Signing::Unsigned), 1, "PUT unsigned"),
    (Action::Get, 1, "GET"),
    (Action::Get, 16, "GET"),
];
