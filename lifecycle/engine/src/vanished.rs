//! At start: a volume whose cartridge is nowhere in its library is away, before anything relies on it. Later the next mount
//! tells, and `volumes::reconcile` finds those that are back.

use std::collections::BTreeSet;

use model::volume::VolumeStage;

use crate::error::Error;
use crate::house::House;
use crate::volumes::{go_offline, save};

/// Notes which cartridges are gone; counts them. A library that is not configured any more says nothing of its volumes.
pub(crate) async fn note(house: &House) -> Result<u64, Error> {
    let mut gone = 0;
    let volumes = house.catalog.volumes().await?;
    for (name, library) in &house.libraries {
        let barcodes = library.inventory().barcodes();
        let there: BTreeSet<&str> = barcodes.iter().map(|barcode| barcode.as_str()).collect();
        for volume in volumes.iter().filter(|volume| volume.library == *name) {
            let begun = matches!(volume.state.stage(), VolumeStage::New | VolumeStage::Preparing);
            let over = matches!(volume.state.stage(), VolumeStage::Offline | VolumeStage::Retired);
            // What it was ordered to leave for is written down by the order.
            if begun || over || volume.leaving.is_some() || there.contains(volume.barcode.as_str()) {
                continue;
            }
            let mut volume = volume.clone();
            tracing::warn!(code = "TL-0403", volume = %volume.id, barcode = volume.barcode, library = name, "its cartridge is not in the library");
            go_offline(&mut volume);
            save(house, &mut volume).await?;
            gone += 1;
        }
    }
    Ok(gone)
}
