//! What an operator has done with a volume: emptied for use again, taken out of use, given up. Each order may be given again
//! at any time and then tells how far it is.

use model::catalog::CatalogError;
use model::pack::PackCopyStage;
use model::volume::{Volume, VolumeStage, VolumeState};
use model::{PackId, VolumeId};

use crate::error::Error;
use crate::evacuate;
use crate::exposure::exposure;
use crate::forget;
use crate::house::House;
use crate::sources;
use crate::volumes::save;

const PAGE: usize = 1_000;
/// Tries at a row that others change at the same time.
const TRIES_MAX: u32 = 5;

/// How far the emptying of a volume is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emptying {
    /// Copies on it that still count.
    pub left: u64,
    /// Their bytes.
    pub left_bytes: u64,
    /// Those of them no whole copy of which is left, nor on its way.
    pub stuck: u64,
}

/// Why an order is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such volume.
    #[error("there is no volume {0}")]
    Unknown(VolumeId),
    /// It cannot be done with this volume; says what helps.
    #[error("{0}")]
    Unfit(String),
    /// It could not be done now.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        Self::Failed(error.into())
    }
}

/// Has a volume emptied, to be labelled anew.
pub(crate) async fn reclaim(house: &House, id: VolumeId) -> Result<(), Refusal> {
    change(house, id, |volume| {
        let unfit = |why: &str| Err(Refusal::Unfit(format!("{} {why}", volume.barcode)));
        match &volume.state {
            VolumeState::Reclaiming { retire: false } | VolumeState::Pending { .. } => Ok(None),
            VolumeState::Reclaiming { retire: true } => unfit("is being retired already"),
            VolumeState::Filling | VolumeState::Full => Ok(Some(VolumeState::Reclaiming { retire: false })),
            VolumeState::Suspect { .. } => {
                unfit("is suspect, so it is not used again: `tapegate volume retire` moves what lives on it elsewhere")
            }
            VolumeState::Offline { place, .. } => {
                unfit(&format!("is away ({place}): bring it back, or `tapegate volume retire` it"))
            }
            VolumeState::Retired => unfit("is retired"),
            VolumeState::New | VolumeState::Preparing | VolumeState::Scratch => unfit("holds nothing"),
        }
    })
    .await
}

/// Has a volume emptied, never to be used again.
pub(crate) async fn retire(house: &House, id: VolumeId) -> Result<(), Refusal> {
    change(house, id, |volume| Ok(retired(&volume.state))).await
}

/// What a volume becomes when it is to be retired; none when it is that already.
fn retired(state: &VolumeState) -> Option<VolumeState> {
    match state {
        VolumeState::Reclaiming { retire: true } | VolumeState::Retired => None,
        VolumeState::New | VolumeState::Preparing | VolumeState::Scratch | VolumeState::Pending { .. } => {
            Some(VolumeState::Retired)
        }
        VolumeState::Filling
        | VolumeState::Full
        | VolumeState::Suspect { .. }
        | VolumeState::Reclaiming { retire: false } => Some(VolumeState::Reclaiming { retire: true }),
        VolumeState::Offline { place, was } => retired(was).map(|was| match was {
            VolumeState::Retired => VolumeState::Retired,
            was => VolumeState::Offline { place: place.clone(), was: Box::new(was) },
        }),
    }
}

/// The cartridge is destroyed: nothing on it counts from now on. Refused while something living is only there, unless that
/// is accepted.
pub(crate) async fn give_up(house: &House, id: VolumeId, accept_loss: bool) -> Result<(), Refusal> {
    let volume = house.catalog.volume(id).await?.ok_or(Refusal::Unknown(id))?;
    let exposed = exposure(&*house.catalog, id).await?;
    if !exposed.is_empty() && !accept_loss {
        let (objects, bytes) = exposed.objects();
        return Err(Refusal::Unfit(format!(
            "{} has the only whole copy on tape of {objects} objects ({bytes} bytes): `tapegate volume show --contents` lists them. Where it may still be read, retire it without --lost; to give them up say --accept-loss too",
            volume.barcode
        )));
    }
    forget::journal_again(house, &volume).await?;
    change(house, id, |volume| {
        Ok((volume.state.stage() != VolumeStage::Retired).then_some(VolumeState::Retired))
    })
    .await?;
    evacuate::bury(house, id).await?;
    Ok(())
}

/// Changes the state of a volume as `next` says, also when somebody changes its row at the same time.
async fn change(
    house: &House,
    id: VolumeId,
    next: impl Fn(&Volume) -> Result<Option<VolumeState>, Refusal>,
) -> Result<(), Refusal> {
    let mut tries = 0;
    loop {
        let mut volume = house.catalog.volume(id).await?.ok_or(Refusal::Unknown(id))?;
        let Some(state) = next(&volume)? else { return Ok(()) };
        let retired = state.stage() == VolumeStage::Retired;
        if let Some(leaving) = volume.leaving.take().filter(|_| !retired) {
            let (barcode, place) = (&volume.barcode, leaving.place);
            return Err(Refusal::Unfit(format!(
                "{barcode} is on its way out to {place}: `tapegate library export --cancel` keeps it"
            )));
        }
        tracing::info!(volume = %id, barcode = volume.barcode, ?state, "by an operator's word");
        volume.advance(state);
        tries += 1;
        match save(house, &mut volume).await {
            Err(Error::Catalog(CatalogError::Conflict { .. })) if tries < TRIES_MAX => {}
            other => {
                house.promotion.want();
                return Ok(other?);
            }
        }
    }
}

/// How far the emptying of a volume is, counted from the rows.
pub(crate) async fn emptying(house: &House, id: VolumeId) -> Result<Emptying, Error> {
    let mut emptying = Emptying::default();
    let mut after: Option<PackId> = None;
    loop {
        let page = house.catalog.copies_on(id, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(emptying) };
        after = Some(last.pack);
        for copy in page.iter().filter(|copy| copy.state.stage() != PackCopyStage::Dead) {
            let Some(pack) = house.catalog.pack(copy.pack).await? else { continue };
            emptying.left += 1;
            emptying.left_bytes += pack.bytes;
            let copies = house.catalog.copies_of(pack.id).await?;
            let made = copies.iter().any(|other| {
                let under_way = [PackCopyStage::Spooled, PackCopyStage::Written];
                other.pool == copy.pool && under_way.contains(&other.state.stage())
            });
            let readable = made || house.spool.has(&pack) || sources::is_whole(house, pack.id).await?;
            emptying.stuck += u64::from(!readable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_nothing_is_retired_at_once_and_what_is_away_stays_away() {
        let reclaiming = |retire| VolumeState::Reclaiming { retire };
        let away = |was| VolumeState::Offline { place: "the vault".to_owned(), was: Box::new(was) };
        for (state, next) in [
            (VolumeState::Scratch, Some(VolumeState::Retired)),
            (VolumeState::Full, Some(reclaiming(true))),
            (VolumeState::Suspect { why: "worn".to_owned() }, Some(reclaiming(true))),
            (reclaiming(false), Some(reclaiming(true))),
            (reclaiming(true), None),
            (away(VolumeState::Full), Some(away(reclaiming(true)))),
            (away(VolumeState::Scratch), Some(VolumeState::Retired)),
            (VolumeState::Retired, None),
        ] {
            assert_eq!(retired(&state), next, "{state:?}");
        }
    }
}
