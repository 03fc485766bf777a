//! The write fence: what must be true of a cartridge before its first byte is written. Pure.

use volume::ltfs::{Tail, Volume};

use crate::{Barcode, End, Expected, FenceMismatch};

/// Compares what was found with what the catalog expects; the first difference, in the order of how much it says.
pub(crate) fn check(
    barcode: &Barcode,
    expected: &Expected,
    volume: &Volume,
    mam_serial: &str,
    tail: Tail,
) -> Result<(), FenceMismatch> {
    check_identity(barcode, expected, volume, mam_serial)?;
    let catalog = volume.catalog_id();
    if catalog != Some(expected.catalog_id) {
        return Err(FenceMismatch::Catalog { expected: expected.catalog_id, found: catalog });
    }
    if !volume.is_written_by_us() {
        return Err(FenceMismatch::Writer { found: volume.index().creator.clone() });
    }
    let same_generation = tail.generation == expected.generation;
    let further = expected.end == End::Unclean && tail.generation > expected.generation;
    if !same_generation && !further {
        return Err(FenceMismatch::Generation { expected: expected.generation, found: tail.generation });
    }
    // Behind the tape it may be: a drive that loses power loses what it had not yet written to cartridge memory.
    if let Some(noted) = tail.noted.filter(|noted| *noted > tail.generation) {
        return Err(FenceMismatch::Memory { noted, found: tail.generation });
    }
    // The index of the generation we know must end where we know; what follows it may be the torn end of our own.
    if same_generation && tail.index_end != expected.eod_block {
        return Err(FenceMismatch::EndOfData { expected: expected.eod_block, found: tail.index_end });
    }
    let end_fits = match expected.end {
        End::Clean => tail.end_of_data == expected.eod_block,
        End::Unclean => tail.end_of_data >= expected.eod_block,
    };
    if !end_fits {
        return Err(FenceMismatch::EndOfData { expected: expected.eod_block, found: tail.end_of_data });
    }
    Ok(())
}

/// The part of the fence that also holds for reading.
pub(crate) fn check_identity(
    barcode: &Barcode,
    expected: &Expected,
    volume: &Volume,
    mam_serial: &str,
) -> Result<(), FenceMismatch> {
    if volume.uuid() != expected.uuid {
        return Err(FenceMismatch::Uuid { expected: expected.uuid, found: volume.uuid() });
    }
    if mam_serial != expected.mam_serial {
        return Err(FenceMismatch::MamSerial {
            expected: expected.mam_serial.clone(),
            found: mam_serial.to_owned(),
        });
    }
    let label = volume.label().serial;
    if !barcode.as_str().starts_with(label.as_str()) {
        return Err(FenceMismatch::Label { found: label.to_string(), barcode: barcode.clone() });
    }
    Ok(())
}
