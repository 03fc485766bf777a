//! The write fence: what must be true of a cartridge before its first byte is written. Pure.

use volume::ltfs::{Tail, Volume};

use crate::{Barcode, CatalogId, End, Expected, VolumeUuid};

/// The first difference the write fence found; nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FenceMismatch {
    /// Not an LTFS volume at all.
    #[error("it carries no labels")]
    NotLabelled,
    /// The VOL1 label names another volume serial than the barcode says.
    #[error("its label says {found}, its barcode {barcode}")]
    Label {
        /// Serial in the VOL1 label.
        found: String,
        /// The barcode it was fetched by.
        barcode: Barcode,
    },
    /// It has labels and no index that can be read.
    #[error("it carries no index that can be read")]
    NoIndex,
    /// Another program wrote its newest index.
    #[error("its newest index was written by {found:?}")]
    Writer {
        /// The creator that the index names.
        found: String,
    },
    /// Another volume.
    #[error("it is volume {found}, not {expected}")]
    Uuid {
        /// Expected volume.
        expected: VolumeUuid,
        /// Volume found.
        found: VolumeUuid,
    },
    /// The labels were copied to another cartridge.
    #[error("its cartridge memory says serial {found:?}, not {expected:?}")]
    MamSerial {
        /// Expected medium serial number.
        expected: String,
        /// Serial number found.
        found: String,
    },
    /// It belongs to another catalog.
    #[error("it belongs to catalog {}, not {expected}", found.map_or("none".to_owned(), |id| id.to_string()))]
    Catalog {
        /// Our catalog.
        expected: CatalogId,
        /// The catalog named on the volume.
        found: Option<CatalogId>,
    },
    /// It was written by somebody else, or went back in time.
    #[error("its index generation is {found}, not {expected}")]
    Generation {
        /// Generation after the last commit known.
        expected: u64,
        /// Generation found.
        found: u64,
    },
    /// The newest index is there and cannot be read.
    #[error("its cartridge memory names index generation {noted}, {found} was found")]
    Memory {
        /// Generation in cartridge memory.
        noted: u64,
        /// Generation found on tape.
        found: u64,
    },
    /// Data was added or lost.
    #[error("its data end at block {found}, not {expected}")]
    EndOfData {
        /// End of data after the last commit known.
        expected: u64,
        /// End of data found.
        found: u64,
    },
}

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
