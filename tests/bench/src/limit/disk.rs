//! Files written and synced, copied, and read back.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Instant;

use super::{TIME_MAX, repeat};
use crate::data::{Contents, LARGE_BYTES, Size};
use crate::error::{Result, file};
use crate::report::Row;

const BUFFER_BYTES: usize = 1 << 20;
const LARGE_FILE: &str = "large";

/// One small file after another, each written and synced, on so many threads.
pub fn small_files(contents: &Contents, folder: &Path, threads: usize) -> Result<Row> {
    let begin = Instant::now();
    let counts: Vec<Result<u64>> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || write_small_files(contents, folder, thread, begin)))
            .collect();
        writers
            .into_iter()
            .map(|writer| writer.join().expect("a writer of small files does not panic"))
            .collect()
    });
    let count = counts.into_iter().sum::<Result<u64>>()?;
    let name = format!("limit write + fsync 4 KiB files, c{threads}");
    let bytes = count * Size::Small.bytes() as u64;
    Ok(Row::new(name, count, bytes, begin.elapsed()))
}

fn write_small_files(contents: &Contents, folder: &Path, thread: usize, begin: Instant) -> Result<u64> {
    let failed = file("writing a small file");
    let folder = folder.join(format!("small-{thread}"));
    fs::create_dir_all(&folder).map_err(&failed)?;
    let mut count = 0_usize;
    while begin.elapsed() < TIME_MAX {
        let mut small = File::create(folder.join(count.to_string())).map_err(&failed)?;
        let content = contents.of(Size::Small, count);
        small.write_all(&content.bytes).map_err(&failed)?;
        small.sync_all().map_err(&failed)?;
        count += 1;
    }
    Ok(count as u64)
}

/// `cp` and fsync of a large file. The source is in memory, as the body of a PUT is.
pub fn copy(contents: &Contents, folder: &Path) -> Result<Row> {
    let failed = file("copying a large file");
    let source = folder.join(LARGE_FILE);
    fs::write(&source, &contents.of(Size::Large, 0).bytes).map_err(&failed)?;
    let mut number = 0;
    repeat("cp + fsync 64 MiB", || {
        let target = folder.join(format!("copy-{number}"));
        number += 1;
        fs::copy(&source, &target).map_err(&failed)?;
        let copied = File::open(target).map_err(&failed)?;
        copied.sync_all().map_err(&failed)?;
        Ok((1, LARGE_BYTES as u64))
    })
}

/// The large file read again and again, from the page cache.
pub fn read(folder: &Path) -> Result<Row> {
    let failed = file("reading a large file");
    let mut buffer = vec![0; BUFFER_BYTES];
    repeat("read 64 MiB, cached", || {
        let mut source = File::open(folder.join(LARGE_FILE)).map_err(&failed)?;
        let mut bytes = 0;
        loop {
            match source.read(&mut buffer).map_err(&failed)? {
                0 => return Ok((1, bytes)),
                count => bytes += count as u64,
            }
        }
    })
}
