//! A cartridge as a directory of small files, the form in which LTFS's file backend keeps one.

use std::fs;
use std::path::Path;

use super::limits::BLOCK_BYTES;
use super::memory::KNOWN;
use super::{BlockAddress, BlockTape, Error, Met, Partition};

/// Most blocks and filemarks of one partition that are exported.
pub const EXPORT_BLOCKS_MAX: u64 = 100_000_000;

/// Writes every block (`P_B_R`), filemark (`P_B_F`) and the end of data (`P_B_E`) of both partitions, `P` being the
/// partition and `B` the block number, and every known attribute of cartridge memory (`attr_P_<hex>`: identifier,
/// format, length and value as READ ATTRIBUTE gives them) into `dir`, which must exist. Returns how many files.
pub fn export_ltfs_dir<T: BlockTape + ?Sized>(tape: &mut T, dir: &Path) -> Result<u64, Error> {
    let mut files = 0;
    for partition in Partition::BOTH {
        files += export_partition(tape, partition, dir)?;
        for id in KNOWN {
            let Some(attribute) = tape.read_attribute(partition, id)? else {
                continue;
            };
            let mut bytes = id.to_be_bytes().to_vec();
            bytes.push(attribute.format.bits());
            let what = "bytes of an attribute";
            let length = u16::try_from(attribute.value.len());
            let length = length.map_err(|_| Error::Limit { limit: u64::from(u16::MAX), what })?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&attribute.value);
            write(dir, &format!("attr_{}_{id:x}", partition.number()), &bytes)?;
            files += 1;
        }
    }
    Ok(files)
}

fn export_partition<T: BlockTape + ?Sized>(
    tape: &mut T,
    partition: Partition,
    dir: &Path,
) -> Result<u64, Error> {
    tape.locate(BlockAddress { partition, block: 0 })?;
    let mut block = vec![0; BLOCK_BYTES];
    for number in 0..EXPORT_BLOCKS_MAX {
        let prefix = format!("{}_{number}", partition.number());
        match tape.read_block(&mut block)? {
            Met::Block(bytes) => write(dir, &format!("{prefix}_R"), &block[..bytes])?,
            Met::Filemark => write(dir, &format!("{prefix}_F"), &[])?,
            Met::EndOfData => {
                write(dir, &format!("{prefix}_E"), &[])?;
                return Ok(number + 1);
            }
        }
    }
    Err(Error::Limit { limit: EXPORT_BLOCKS_MAX, what: "blocks in a partition" })
}

fn write(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = dir.join(name);
    fs::write(&path, bytes).map_err(|source| Error::Export { path: path.display().to_string(), source })
}
