//! Cartridges out of the library, by an operator's order.
//!
//! ```text
//!   ordered (a row) -> what waits for its verification is verified -> other copies are looked for
//!     -> into a mail slot -> `Offline` at its place
//! ```
//!
//! The order stands in the volume's row, and every step finds what earlier ones did: an end of the process in between
//! is followed by the rest. What the inventory says wins: a cartridge that is gone is out, however that came.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use library::{Barcode, Library};
use model::catalog::CatalogError;
use model::pack::{PackCopy, PackCopyStage};
use model::volume::{Leaving, Volume, VolumeStage, VolumeState};
use model::{PackId, VolumeId};

use crate::error::{Error, chain, is_fatal};
use crate::house::House;
use crate::{verify, volumes, writing};

const PAGE: usize = 1_000;
/// Tries at a row that others change at the same time.
const TRIES_MAX: u32 = 8;
/// Packs named when a cartridge may not leave.
const PACKS_NAMED_MAX: usize = 5;
/// Longest name of a place, in characters.
const PLACE_MAX: usize = 120;

/// What is known beside the rows. All of it may be lost.
#[derive(Default)]
pub(crate) struct Vault {
    /// Why volumes are not out yet.
    waiting: Mutex<BTreeMap<VolumeId, String>>,
    /// Cartridges being taken in, by library and barcode: nobody takes them for back before they were looked at.
    arriving: Mutex<BTreeSet<(String, String)>>,
}

/// An order to take a volume's cartridge out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOrder {
    /// Where it is taken: a name for people.
    pub place: String,
    /// Although it may hold the only good copy in reach.
    pub only_copy: bool,
}

/// How far an order is: a line of the pick list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The volume as it stands.
    pub volume: Volume,
    /// Where it is taken.
    pub place: String,
    /// The element its cartridge is in, as last known.
    pub element: Option<u16>,
    /// That element is a mail slot.
    pub in_mail_slot: bool,
    /// Packs with something in them that lives, and their bytes.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs on it that are still to be verified.
    pub unverified: u64,
    /// It is out, as far as the robot is concerned.
    pub done: bool,
    /// What keeps it in.
    pub waits: Option<String>,
}

// === impl Vault ===

impl Vault {
    fn note(&self, id: VolumeId, text: Option<String>) {
        let mut waiting = lock(&self.waiting);
        match text {
            Some(text) => drop(waiting.insert(id, text)),
            None => drop(waiting.remove(&id)),
        }
    }

    /// Keeps a cartridge from being taken for back until the guard is dropped.
    pub(crate) fn arrives(&self, library: &str, barcode: &Barcode) -> Arrival<'_> {
        let cartridge = (library.to_owned(), barcode.to_string());
        lock(&self.arriving).insert(cartridge.clone());
        Arrival { vault: self, cartridge }
    }

    /// Whether a cartridge is being taken in.
    pub(crate) fn is_arriving(&self, library: &str, barcode: &str) -> bool {
        lock(&self.arriving).contains(&(library.to_owned(), barcode.to_owned()))
    }
}

/// A cartridge being taken in.
pub(crate) struct Arrival<'a> {
    vault: &'a Vault,
    cartridge: (String, String),
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        lock(&self.vault.arriving).remove(&self.cartridge);
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

// === Orders ===

/// Writes the order down, unless it cannot be, and tells how far it is. May be given again and again.
pub(crate) async fn order(house: &House, id: VolumeId, order: &ExportOrder) -> Result<Export, Error> {
    check_place(&order.place)?;
    for _ in 0..TRIES_MAX {
        let mut row = row(house, id).await?;
        match row.state.clone() {
            VolumeState::Offline { .. } if is_inside(house, &row).await? => volumes::come_back(&mut row),
            VolumeState::Offline { place, .. } if place == order.place => return view(house, row).await,
            VolumeState::Offline { was, .. } => {
                row.advance(VolumeState::Offline { place: order.place.clone(), was });
            }
            state => {
                may_leave(&row, &state)?;
                if row.leaving.is_none() && !order.only_copy {
                    other_copies(house, &row).await?;
                }
                let leaving = Leaving {
                    place: order.place.clone(),
                    only_copy: order.only_copy,
                    since: row.leaving.as_ref().map_or(house.now(), |leaving| leaving.since),
                };
                if row.leaving.as_ref() == Some(&leaving) {
                    return view(house, row).await;
                }
                tracing::info!(volume = %id, barcode = row.barcode, place = order.place, "the volume is to leave");
                row.leaving = Some(leaving);
            }
        }
        saved(volumes::save(house, &mut row).await)?;
    }
    Err(moves(id))
}

/// Takes an order back, as long as the cartridge is not out.
pub(crate) async fn cancel(house: &House, id: VolumeId) -> Result<Export, Error> {
    for _ in 0..TRIES_MAX {
        let mut row = row(house, id).await?;
        if row.state.stage() == VolumeStage::Offline {
            return Err(refused(format!(
                "{} is out already; `tapegate library import {0}` brings it back",
                row.barcode
            )));
        }
        if row.leaving.take().is_none() {
            house.vault.note(id, None);
            return view(house, row).await;
        }
        saved(volumes::save(house, &mut row).await)?;
    }
    Err(moves(id))
}

/// How far an order is.
async fn view(house: &House, volume: Volume) -> Result<Export, Error> {
    let inventory = house.libraries.get(&volume.library).map(|library| library.inventory());
    let barcode = Barcode::parse(&volume.barcode);
    let element = inventory.as_ref().zip(barcode.as_ref()).and_then(|(all, one)| all.element_of(one));
    let in_mail_slot =
        inventory.is_some_and(|all| all.mail_slots.iter().any(|slot| Some(slot.element) == element));
    let (mut packs, mut bytes, mut unverified) = (0, 0, 0);
    for copy in copies_on(house, volume.id).await? {
        unverified += u64::from(copy.state.stage() == PackCopyStage::Written);
        if lives(house, copy.pack).await? {
            packs += 1;
            bytes += house.catalog.pack(copy.pack).await?.map_or(0, |pack| pack.bytes);
        }
    }
    let place = match (&volume.state, &volume.leaving) {
        (VolumeState::Offline { place, .. }, _) => place.clone(),
        (_, Some(leaving)) => leaving.place.clone(),
        _ => String::new(),
    };
    let done = volume.leaving.is_none();
    let waits = lock(&house.vault.waiting).get(&volume.id).cloned().filter(|_| !done);
    Ok(Export { volume, place, element, in_mail_slot, packs, bytes, unverified, done, waits })
}

fn check_place(place: &str) -> Result<(), Error> {
    let fits = (1..=PLACE_MAX).contains(&place.chars().count()) && !place.chars().any(char::is_control);
    if fits { Ok(()) } else { Err(refused(format!("a place is a name of 1 to {PLACE_MAX} characters"))) }
}

fn may_leave(row: &Volume, state: &VolumeState) -> Result<(), Error> {
    match state {
        VolumeState::Preparing | VolumeState::Reclaiming { .. } => Err(refused(format!(
            "{} is being worked on ({:?}); try again when that is over",
            row.barcode,
            state.stage()
        ))),
        VolumeState::Retired => Err(refused(format!(
            "{} is retired, nothing waits for it; name its cartridge by barcode to have it put into a mail slot",
            row.barcode
        ))),
        _ => Ok(()),
    }
}

/// Whether the cartridge is in a slot or a drive at this moment.
async fn is_inside(house: &House, row: &Volume) -> Result<bool, Error> {
    let Some(machine) = house.libraries.get(&row.library).cloned() else { return Ok(false) };
    let inventory = on_machine(machine, |machine| machine.rescan()).await?;
    Ok(inventory.shelved().iter().any(|barcode| barcode.as_str() == row.barcode))
}

// === Carrying out ===

/// Carries every order a step further; counts the steps. One volume's trouble holds up no other.
pub(crate) async fn carry_out(house: &Arc<House>) -> Result<u64, Error> {
    let mut steps = 0;
    let mut trouble = None;
    for row in house.catalog.volumes().await?.into_iter().filter(|row| row.leaving.is_some()) {
        let id = row.id;
        match carry_one(house, row).await {
            Ok(done) => steps += done,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                house.vault.note(id, Some(chain(&error)));
                trouble = trouble.or(Some(error));
            }
        }
    }
    match trouble {
        Some(error) if steps == 0 => Err(error),
        _ => Ok(steps),
    }
}

async fn carry_one(house: &Arc<House>, row: Volume) -> Result<u64, Error> {
    let (id, stage) = (row.id, row.state.stage());
    if stage == VolumeStage::Offline {
        return gone(house, id).await;
    }
    if stage != VolumeStage::Suspect {
        if house.resting.rests(id, house.now()) {
            return Ok(0);
        }
        if verify::is_awaited(house, id).await? {
            let good = verify::verify_now(house, &row).await?;
            house.promotion.want();
            return Ok(good);
        }
        // The end of a process left its tail open.
        if row.unclean && stage == VolumeStage::Filling {
            return writing::close(house, row).await;
        }
    }
    if row.leaving.as_ref().is_some_and(|leaving| !leaving.only_copy)
        && let Err(error) = other_copies(house, &row).await
    {
        if matches!(error, Error::OnlyCopy { .. }) {
            tracing::error!(code = "EN-0122", volume = %id, error = chain(&error), "the volume stays");
            return cancel(house, id).await.map(|_| 1);
        }
        return Err(error);
    }
    let machine = volumes::library_named(house, &row.library)?.clone();
    let barcode = volumes::barcode(&row)?;
    let leaving = barcode.clone();
    match on_machine(machine.clone(), move |machine| machine.export(&leaving)).await {
        Ok(_) | Err(Error::Library(library::Error::Missing { .. })) => {}
        Err(error) => return Err(error),
    }
    let out = gone(house, id).await?;
    if out == 0 {
        // The order was taken back while the robot moved it.
        on_machine(machine, move |machine| machine.import(&barcode)).await?;
    }
    Ok(out)
}

/// Writes down that a volume is out; 0 when it is not to leave any more.
async fn gone(house: &House, id: VolumeId) -> Result<u64, Error> {
    for _ in 0..TRIES_MAX {
        let mut row = row(house, id).await?;
        let Some(Leaving { place, .. }) = row.leaving.take() else { return Ok(0) };
        let was = match row.state.clone() {
            VolumeState::Offline { was, .. } => was,
            state => Box::new(state),
        };
        row.advance(VolumeState::Offline { place: place.clone(), was });
        match volumes::save(house, &mut row).await {
            Ok(()) => {
                house.vault.note(id, None);
                tracing::info!(volume = %id, barcode = row.barcode, place, "the volume is out");
                return Ok(1);
            }
            error => saved(error)?,
        }
    }
    Err(moves(id))
}

/// Refuses when something alive on this volume has no other verified copy on a volume in reach.
async fn other_copies(house: &House, row: &Volume) -> Result<(), Error> {
    let all = house.catalog.volumes().await?;
    let serves = |volume: &Volume| {
        volume.id != row.id && volume.is_in_reach() && volume.state.stage() != VolumeStage::Suspect
    };
    let good: BTreeSet<VolumeId> =
        all.iter().filter(|volume| serves(volume)).map(|volume| volume.id).collect();
    let (mut alone, mut bytes) = (Vec::new(), 0);
    for copy in copies_on(house, row.id).await? {
        let others = house.catalog.copies_of(copy.pack).await?;
        let serves = |other: &PackCopy| {
            other.state.stage() == PackCopyStage::Verified
                && other.volume.is_some_and(|volume| good.contains(&volume))
        };
        if !others.iter().any(serves) && lives(house, copy.pack).await? {
            bytes += house.catalog.pack(copy.pack).await?.map_or(0, |pack| pack.bytes);
            alone.push(copy.pack);
        }
    }
    if alone.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = alone.iter().take(PACKS_NAMED_MAX).map(ToString::to_string).collect();
    if alone.len() > PACKS_NAMED_MAX {
        named.push("...".to_owned());
    }
    let barcode = row.barcode.clone();
    Err(Error::OnlyCopy { barcode, packs: alone.len() as u64, bytes, named: named.join(", ") })
}

/// The copies on a volume that are not given up.
pub(crate) async fn copies_on(house: &House, id: VolumeId) -> Result<Vec<PackCopy>, Error> {
    let mut copies = Vec::new();
    let mut after: Option<PackId> = None;
    loop {
        let page = house.catalog.copies_on(id, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(copies) };
        after = Some(last.pack);
        copies.extend(page.into_iter().filter(|copy| copy.state.place().is_some()));
    }
}

/// Whether anything in a pack lives.
async fn lives(house: &House, pack: PackId) -> Result<bool, Error> {
    let mut after = None;
    loop {
        let page = house.catalog.archives_of_pack(pack, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(false) };
        after = Some(last.id);
        if page.iter().any(|archive| archive.state.stage().is_live()) {
            return Ok(true);
        }
    }
}

/// Does what blocks, aside.
pub(crate) async fn on_machine<T: Send + 'static>(
    machine: Arc<Library>,
    work: impl FnOnce(&Library) -> Result<T, library::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(move || work(&machine)).await;
    let done = done.map_err(|error| Error::Bug { what: format!("work on a library panicked: {error}") })?;
    Ok(done?)
}

async fn row(house: &House, id: VolumeId) -> Result<Volume, Error> {
    house.catalog.volume(id).await?.ok_or_else(|| refused(format!("there is no volume {id}")))
}

/// A row that moved on is read again.
fn saved(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Catalog(CatalogError::Conflict { .. })) => Ok(()),
        other => other,
    }
}

pub(crate) fn refused(reason: String) -> Error {
    Error::Order { reason }
}

fn moves(id: VolumeId) -> Error {
    refused(format!("volume {id} is changed by others all the time; try again"))
}
