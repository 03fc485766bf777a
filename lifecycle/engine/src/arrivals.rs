//! Cartridges into the library, by an operator's order: taken from the mail slots, looked at, and known again or not.
//!
//! A volume counts as back once its cartridge was mounted and is what the catalog expects. A cartridge that only says so
//! on its outside goes back into a mail slot, and nothing was written to it. An end of the process in between leaves
//! the cartridge in a slot, where the next inventory finds it, and where the fence is before it at every mount.

use std::sync::Arc;

use library::{Barcode, FenceMismatch, Library, Medium, Seen, WorkEnd};
use model::VolumeId;
use model::volume::{Volume, VolumeStage};
use tokio::sync::oneshot;

use crate::error::{Error, chain, is_fatal};
use crate::house::House;
use crate::vault::{on_machine, refused};
use crate::volumes;

/// A cartridge that was in a mail slot, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Its library.
    pub library: String,
    /// Its barcode, when it has one that is ours to read.
    pub barcode: Option<String>,
    /// Element address of the mail slot it was in.
    pub mail_slot: Option<u16>,
    /// What it is.
    pub kind: Arrival,
    /// The volume, when it is one of ours.
    pub volume: Option<VolumeId>,
    /// More for people.
    pub detail: Option<String>,
}

/// What an arrived cartridge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A volume of ours, and what the catalog expects.
    Back,
    /// Nothing stands on it.
    Blank,
    /// Something stands on it that is not ours: it is never written.
    Foreign,
    /// It cleans drives.
    Cleaning,
    /// It carries a volume's barcode, or a volume, and is not what the catalog expects. It is in a mail slot again.
    Mismatch,
    /// It was left where it was: another's, or without a label that can be read.
    NotOurs,
    /// It could not be taken in, or not looked at.
    Failed,
}

/// Takes in what hands put into the mail slots of these libraries; or one cartridge, however it came there.
pub(crate) async fn import(
    house: &House,
    library: Option<&str>,
    barcode: Option<&Barcode>,
) -> Result<Vec<Arrived>, Error> {
    let mut arrived = Vec::new();
    for (name, machine) in &house.libraries {
        if library.is_some_and(|library| library != name) {
            continue;
        }
        let inventory = on_machine(machine.clone(), |machine| machine.rescan()).await?;
        for slot in inventory.mail_slots.iter().filter(|slot| slot.full) {
            match (&slot.barcode, barcode) {
                (Some(there), Some(wanted)) if there != wanted => {}
                (Some(there), wanted) if slot.by_hand || wanted.is_some() => {
                    arrived.push(take_in(house, name, machine, there, slot.element).await?);
                }
                (None, None) if slot.by_hand => arrived.push(Arrived {
                    library: name.clone(),
                    barcode: None,
                    mail_slot: Some(slot.element),
                    kind: Arrival::NotOurs,
                    volume: None,
                    detail: Some(
                        "no barcode that can be read, or not one of ours; it stays there".to_owned(),
                    ),
                }),
                _ => {}
            }
        }
        // In a slot already: through the door, or by an order that was cut off.
        if let Some(wanted) = barcode
            && inventory.shelved().contains(wanted)
        {
            arrived.push(take_in(house, name, machine, wanted, 0).await?);
        }
    }
    match (barcode, arrived.is_empty()) {
        (Some(barcode), true) => Err(refused(format!(
            "{barcode} is in no mail slot and no slot; put it into a mail slot, `tapegate library inventory` shows them"
        ))),
        _ => Ok(arrived),
    }
}

/// Takes one cartridge in and looks at it.
async fn take_in(
    house: &House,
    library: &str,
    machine: &Arc<Library>,
    barcode: &Barcode,
    mail_slot: u16,
) -> Result<Arrived, Error> {
    let _arrival = house.vault.arrives(library, barcode);
    let mut arrived = Arrived {
        library: library.to_owned(),
        barcode: Some(barcode.to_string()),
        mail_slot: (mail_slot != 0).then_some(mail_slot),
        kind: Arrival::Failed,
        volume: None,
        detail: None,
    };
    match identify(house, library, machine, barcode).await {
        Ok((kind, volume)) => (arrived.kind, arrived.volume) = (kind, volume),
        Err(error) if is_fatal(&error) => return Err(error),
        Err(error @ Error::Library(library::Error::Fence { .. })) => {
            tracing::error!(code = "TL-0412", %barcode, error = chain(&error), "an arrived cartridge is not what it says");
            arrived.kind = Arrival::Mismatch;
            let one = barcode.clone();
            let back = on_machine(machine.clone(), move |machine| machine.export(&one)).await;
            arrived.detail = Some(match back {
                Ok(slot) => format!("{}; it is in mail slot {slot} again", chain(&error)),
                Err(stays) => format!("{}; it stays inside: {}", chain(&error), chain(&stays)),
            });
        }
        Err(error) => arrived.detail = Some(chain(&error)),
    }
    tracing::info!(library, %barcode, kind = ?arrived.kind, detail = arrived.detail, "a cartridge was taken in");
    Ok(arrived)
}

/// Moves the cartridge in and says what it is; a volume of ours is back then.
async fn identify(
    house: &House,
    library: &str,
    machine: &Arc<Library>,
    barcode: &Barcode,
) -> Result<(Arrival, Option<VolumeId>), Error> {
    let one = barcode.clone();
    on_machine(machine.clone(), move |machine| machine.import(&one)).await?;
    if barcode.is_cleaning() {
        return Ok((Arrival::Cleaning, None));
    }
    let one = barcode.clone();
    let Seen { medium, mam_serial, .. } =
        on_machine(machine.clone(), move |machine| machine.load(&one, None)).await?;
    let rows = house.catalog.volumes().await?;
    let known = match medium {
        Medium::Volume(uuid) => rows.iter().find(|row| row.id == volumes::id_of(uuid)),
        Medium::Blank | Medium::Foreign => None,
    };
    if known.is_some_and(|row| row.state.stage() == VolumeStage::Preparing) {
        // Its labelling was cut off, and is done again.
        return Ok((Arrival::Blank, None));
    }
    if let Some(row) = known {
        let mut row = Volume { library: library.to_owned(), barcode: barcode.to_string(), ..row.clone() };
        fence(house, machine, &row).await?;
        welcome(house, &mut row).await?;
        return Ok((Arrival::Back, Some(row.id)));
    }
    let expected = |row: &&Volume| {
        let unlabelled = matches!(row.state.stage(), VolumeStage::Preparing | VolumeStage::Retired);
        row.barcode == barcode.as_str() && row.library == library && !unlabelled
    };
    match (rows.iter().find(expected), medium) {
        (Some(row), Medium::Volume(found)) => {
            Err(mismatch(barcode, FenceMismatch::Uuid { expected: volumes::uuid_of(row.id), found }))
        }
        (Some(row), _) if row.medium_serial != mam_serial => {
            let expected = row.medium_serial.clone();
            Err(mismatch(barcode, FenceMismatch::MamSerial { expected, found: mam_serial }))
        }
        (Some(_), _) => Err(mismatch(barcode, FenceMismatch::NotLabelled)),
        (None, Medium::Blank) => Ok((Arrival::Blank, None)),
        (None, _) => Ok((Arrival::Foreign, None)),
    }
}

fn mismatch(barcode: &Barcode, what: FenceMismatch) -> Error {
    library::Error::Fence { barcode: barcode.clone(), what }.into()
}

/// Mounts the cartridge and compares it with the row: identity, and that it has not gone back in time or been written
/// by somebody else. The whole fence is before the first byte written, as at every mount.
async fn fence(house: &House, machine: &Arc<Library>, row: &Volume) -> Result<(), Error> {
    let (done, ended) = oneshot::channel();
    let report = Box::new(move |report| drop(done.send(report)));
    machine.read(volumes::mount(house, row)?, Box::new(|_| WorkEnd::Keep), report)?;
    let report =
        ended.await.map_err(|_| Error::Bug { what: "a library job ended without a report".to_owned() })??;
    let (expected, found) = (row.generation, report.generation);
    if found < expected || (found > expected && !row.unclean) {
        return Err(mismatch(&volumes::barcode(row)?, FenceMismatch::Generation { expected, found }));
    }
    Ok(())
}

/// The volume is back, as what it was, in this library; an order to take it out is over.
async fn welcome(house: &House, row: &mut Volume) -> Result<(), Error> {
    volumes::come_back(row);
    row.leaving = None;
    // A conflict means that somebody works with it: the caller asks again.
    volumes::save(house, row).await?;
    tracing::info!(volume = %row.id, barcode = row.barcode, "the volume is back");
    Ok(())
}
