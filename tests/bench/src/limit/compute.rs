//! Digests and compression of the same bytes on one core.

use std::hint::black_box;
use std::io::{Write as _, copy, sink};
use std::time::Instant;

use md5::Md5;
use sha2::{Digest, Sha256};

use super::{TIME_MAX, repeat};
use crate::data::{Contents, LARGE_BYTES, Size};
use crate::error::{Result, file};
use crate::report::Row;

const PIECE_BYTES: usize = 256 << 10;
const LEVEL: i32 = 1;

/// MD5, which an ETag needs.
pub fn md5(contents: &Contents) -> Row {
    digest::<Md5>("MD5", contents)
}

/// SHA-256, which a signed payload needs.
pub fn sha256(contents: &Contents) -> Row {
    digest::<Sha256>("SHA-256", contents)
}

fn digest<D: Digest>(name: &str, contents: &Contents) -> Row {
    let bytes = &contents.of(Size::Large, 0).bytes;
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < TIME_MAX {
        black_box(D::digest(bytes));
        count += 1;
    }
    let name = format!("limit {name} 64 MiB, one core");
    Row::new(name, count, count * LARGE_BYTES as u64, begin.elapsed())
}

/// A pipe through zstd -1.
pub fn compress(contents: &Contents) -> Result<Row> {
    let bytes = &contents.of(Size::Large, 0).bytes;
    let mut written = 0;
    let mut row = repeat("zstd -1 64 MiB, one core", || {
        let compressed = compressed(bytes)?;
        written = compressed.len();
        Ok((1, bytes.len() as u64))
    })?;
    row.name += &format!(" (ratio {:.2})", bytes.len() as f64 / written.max(1) as f64);
    Ok(row)
}

/// A pipe through zstd -d, in bytes that come out.
pub fn expand(contents: &Contents) -> Result<Row> {
    let bytes = compressed(&contents.of(Size::Large, 0).bytes)?;
    let failed = file("expanding");
    repeat("zstd -d 64 MiB, one core", || {
        let mut decoder = zstd::Decoder::new(&bytes[..]).map_err(&failed)?;
        let length = copy(&mut decoder, &mut sink()).map_err(&failed)?;
        Ok((1, length))
    })
}

fn compressed(bytes: &[u8]) -> Result<Vec<u8>> {
    let failed = file("compressing");
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL).map_err(&failed)?;
    for piece in bytes.chunks(PIECE_BYTES) {
        encoder.write_all(piece).map_err(&failed)?;
    }
    encoder.finish().map_err(&failed)
}
