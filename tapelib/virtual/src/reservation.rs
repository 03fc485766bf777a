//! Persistent reservations of one unit (SPC-5, 5.14): exclusive access, for the unit, lost with the power.

use crate::reply::{Outcome, deliver, parameter_list};
use crate::sense::{
    INVALID_FIELD_IN_CDB, PARAMETER_LIST_LENGTH, REGISTRATION_PREEMPTED, RESERVATION_RELEASED, Sense,
};
use scsi::reservation::{Change, EXCLUSIVE, Holder, encode_holder, encode_keys};
use scsi::spc::{Command as Spc, ReservationAction, ReservationQuery};
use scsi::{Command, Data};
use std::collections::BTreeMap;

/// A path from a host to a unit. Every transport is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nexus(pub u64);

#[derive(Debug, Default)]
pub(crate) struct Reservations {
    generation: u32,
    keys: BTreeMap<Nexus, u64>,
    holder: Option<Nexus>,
    /// What happened to the reservations of others, told to each at its next command.
    news: BTreeMap<Nexus, Sense>,
}

/// The host is not entitled to what it asked: RESERVATION CONFLICT.
#[derive(Debug)]
pub(crate) struct Conflict;

impl Reservations {
    /// Whether another host has the unit, and the command is one that this keeps out.
    pub fn keeps_out(&self, nexus: Nexus, command: &Command) -> bool {
        let harmless = matches!(
            command,
            Command::Spc(
                Spc::Inquiry { .. }
                    | Spc::RequestSense { .. }
                    | Spc::ReserveIn { .. }
                    | Spc::ReserveOut { .. }
            )
        );
        self.holder.is_some_and(|holder| holder != nexus) && !harmless
    }

    /// A unit attention of this host's own.
    pub fn news(&mut self, nexus: Nexus) -> Option<Sense> {
        self.news.remove(&nexus)
    }

    pub fn reserve_in(&self, what: ReservationQuery, allocation: u16, data: &mut Data<'_>) -> Outcome {
        let bytes = match what {
            ReservationQuery::Keys => {
                encode_keys(self.generation, &self.keys.values().copied().collect::<Vec<_>>())
            }
            ReservationQuery::Reservation => {
                let key = self.holder.and_then(|holder| self.keys.get(&holder));
                encode_holder(self.generation, key.map(|key| Holder { key: *key, kind: EXCLUSIVE }))
            }
        };
        deliver(data, usize::from(allocation), &bytes)
    }

    pub fn reserve_out(
        &mut self,
        nexus: Nexus,
        action: ReservationAction,
        kind: u8,
        length: u32,
        data: &Data<'_>,
    ) -> Result<Outcome, Conflict> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let change = match parameter_list(data, length).map(Change::parse) {
            Ok(Ok(change)) if length == Change::LENGTH => change,
            Ok(_) => return Ok(Err(PARAMETER_LIST_LENGTH.into())),
            Err(sense) => return Ok(Err(sense.into())),
        };
        if !matches!(
            action,
            ReservationAction::Register | ReservationAction::RegisterAnyway | ReservationAction::Clear
        ) && kind != EXCLUSIVE
        {
            return Ok(Err(INVALID_FIELD_IN_CDB.into()));
        }
        let known = self.keys.get(&nexus).copied();
        if action != ReservationAction::RegisterAnyway && known.unwrap_or(0) != change.key {
            return Err(Conflict);
        }
        match action {
            ReservationAction::Register | ReservationAction::RegisterAnyway => {
                self.register(nexus, change.other)
            }
            _ if known.is_none() => return Err(Conflict),
            ReservationAction::Reserve if self.holder.is_some_and(|holder| holder != nexus) => {
                return Err(Conflict);
            }
            ReservationAction::Reserve => self.holder = Some(nexus),
            ReservationAction::Release => self.holder = self.holder.filter(|holder| *holder != nexus),
            ReservationAction::Clear => {
                let keys = std::mem::take(&mut self.keys);
                self.holder = None;
                let others = keys.into_keys().filter(|other| *other != nexus);
                self.news.extend(others.map(|other| (other, RESERVATION_RELEASED)));
            }
            ReservationAction::Preempt => self.preempt(nexus, change.other),
        }
        self.generation = self.generation.wrapping_add(1);
        Ok(Ok(length))
    }

    fn register(&mut self, nexus: Nexus, key: u64) {
        if key == 0 {
            self.keys.remove(&nexus);
            self.holder = self.holder.filter(|holder| *holder != nexus);
        } else {
            self.keys.insert(nexus, key);
        }
    }

    /// Ends the registrations of a key; a reservation held under it goes to `nexus`.
    fn preempt(&mut self, nexus: Nexus, key: u64) {
        let held = self.holder.and_then(|holder| self.keys.get(&holder)) == Some(&key);
        let ended = self.keys.iter().filter(|(other, its)| **its == key && **other != nexus);
        let ended: Vec<Nexus> = ended.map(|(other, _)| *other).collect();
        for other in ended {
            self.keys.remove(&other);
            self.news.insert(other, REGISTRATION_PREEMPTED);
        }
        if held {
            self.holder = Some(nexus);
        }
    }
}
