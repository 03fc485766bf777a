//! What the machine itself can do with the same bytes: the figures beside which the server's are read.

mod compute;
mod database;
mod disk;
mod network;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::data::Contents;
use crate::error::{Result, file};
use crate::report::{Report, Row};
use database::Repair;

/// Longest time of one limit.
const TIME_MAX: Duration = Duration::from_millis(1500);

/// Measures every limit, using `folder`, which should lie on the disk of the server's data.
///
/// # Errors
/// The disk or the loopback fails.
pub fn measure(report: &mut Report, contents: &Contents, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(file("making a folder for the limits"))?;
    let rows = [
        disk::small_files(contents, folder, 1)?,
        disk::small_files(contents, folder, 16)?,
        disk::copy(contents, folder)?,
        disk::read(folder)?,
        network::ping(contents)?,
        network::stream(contents)?,
        compute::md5(contents),
        compute::sha256(contents),
        compute::compress(contents)?,
        compute::expand(contents)?,
        database::commits(folder, 1, Repair::Whole)?,
        database::commits(folder, 1, Repair::Quick)?,
        database::commits(folder, 16, Repair::Quick)?,
        database::commits(folder, 256, Repair::Quick)?,
    ];
    for row in rows {
        report.add(row).map_err(file("writing the report"))?;
    }
    std::fs::remove_dir_all(folder).map_err(file("removing the folder of the limits"))
}

/// Does `once` until the time is used up, and makes a row of it. `once` returns how many things it did and how many
/// bytes it moved.
fn repeat(name: &str, mut once: impl FnMut() -> Result<(u64, u64)>) -> Result<Row> {
    let begin = Instant::now();
    let (mut count, mut bytes) = (0, 0);
    while begin.elapsed() < TIME_MAX {
        let (done, moved) = once()?;
        (count, bytes) = (count + done, bytes + moved);
    }
    Ok(Row::new(format!("limit {name}"), count, bytes, begin.elapsed()))
}
