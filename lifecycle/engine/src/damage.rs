//! A copy was found to be not what was written: others are relied on from then on.

use model::catalog::{CatalogError, Change};
use model::pack::{PackCopyStage, PackCopyState};
use model::{PackId, VolumeId};

use crate::error::Error;
use crate::house::House;
use crate::standing::is_trusted;

/// Tries at rows that others change at the same time.
const TRIES_MAX: u32 = 5;

/// Whether an error says that bytes on the medium cannot be had as they were written.
pub(crate) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Damaged { .. } => true,
        Error::Library(error) => error.blame() == library::Blame::Medium,
        _ => false,
    }
}

/// Takes down that the copy of `pack` on `volume` is damaged. One that nobody relies on yet is written again where the
/// spool still has the pack; any other stays, to be read where no whole one is left.
pub(crate) async fn found(house: &House, pack: PackId, volume: VolumeId, why: &str) -> Result<(), Error> {
    for _ in 0..TRIES_MAX {
        let copies = house.catalog.copies_of(pack).await?;
        let there = |stage| matches!(stage, PackCopyStage::Written | PackCopyStage::Verified);
        let mut copies = copies.into_iter();
        let found = copies.find(|copy| copy.volume == Some(volume) && there(copy.state.stage()));
        let (Some(mut copy), Some(row)) = (found, house.catalog.pack(pack).await?) else { return Ok(()) };
        let Some((start_block, blocks)) = copy.state.place() else { return Ok(()) };
        // A place on tape that was relied on is not given up for a file that was not looked at since it was built.
        let relied_on = copy.state.stage() == PackCopyStage::Verified || is_trusted(house, &copy);
        if !relied_on && house.spool.has(&row) {
            copy.volume = None;
            copy.advance(PackCopyState::Spooled);
        } else {
            copy.advance(PackCopyState::Damaged { start_block, blocks });
        }
        let (number, pool) = (copy.number, copy.pool.clone());
        match house.catalog.commit(vec![Change::PackCopy(copy)]).await {
            Ok(()) => {
                tracing::error!(code = "EN-0143", %pack, copy = number, %pool, %volume, why, "a copy of a pack is damaged");
                house.promotion.want();
                return Ok(());
            }
            Err(CatalogError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Whoever changes it that often knows better; what is still damaged is found again.
    Ok(())
}
