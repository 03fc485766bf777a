//! Making a volume of a scratch cartridge.

use volume::ltfs::{self, BlockTape, Found, NewVolume, Partition, VolumeSerial, memory};

use crate::error::Place;
use crate::medium::{refuse_undivided, refuse_unwritable};
use crate::tape::DriveTape;
use crate::{Error, LabelledVolume, Overwrite, VolumeIdentity};

/// Labels the cartridge that is loaded, unless something stands on it that may not go.
pub(crate) fn label(
    tape: &mut DriveTape,
    place: &Place,
    identity: &VolumeIdentity,
    overwrite: Overwrite,
) -> Result<LabelledVolume, Error> {
    let barcode = place.barcode.clone();
    let in_our_terms = |error| place.volume_error(error);
    let serial =
        VolumeSerial::from_barcode(barcode.as_str()).ok_or(Error::Serial { barcode: barcode.clone() })?;
    refuse_unwritable(tape.drive(), place)?;
    refuse_undivided(tape.drive(), place)?;
    match ltfs::identify(tape).map_err(in_our_terms)? {
        Found::Blank | Found::Interrupted(_) => {}
        Found::Volume(label) if overwrite == Overwrite::Volume(label.uuid) => {}
        Found::Volume(label) => return Err(Error::NotBlank { barcode, found: Some(label.uuid) }),
        Found::Foreign => return Err(Error::NotBlank { barcode, found: None }),
    }
    let mam_serial = memory::medium_serial(tape).map_err(|error| in_our_terms(error.into()))?;
    let new = NewVolume {
        serial,
        uuid: identity.uuid,
        catalog_id: identity.catalog_id,
        name: identity.name.clone(),
        barcode: barcode.to_string(),
    };
    let mut appender = ltfs::format(tape, &new).map_err(in_our_terms)?;
    let capacity = tape.capacity(Partition::Data).map_err(|error| in_our_terms(error.into()))?;
    Ok(LabelledVolume {
        uuid: identity.uuid,
        mam_serial,
        generation: appender.committed().generation,
        eod_block: appender.committed().end_of_data,
        capacity_bytes: capacity.total_bytes,
        remaining_bytes: appender.remaining_bytes(tape).map_err(in_our_terms)?,
    })
}
