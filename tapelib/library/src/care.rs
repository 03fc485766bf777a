//! What an operator does with drives: out of use and back, cleaned, and what they have been through.

use std::sync::mpsc;

use crate::state::{DriveRecord, State};
use crate::{DriveNews, DriveState, Error, History, Library};

impl Library {
    /// Lets a drive that was down, or is to be, be used again, and forgets what it failed at; its next action tells
    /// whether it works. Returns at once.
    pub fn drive_up(&self, serial: &str) -> Result<(), Error> {
        self.with_drive(serial, |drive| {
            drive.out_of_use = None;
            if drive.is_down() {
                drive.state = DriveState::Idle;
                drive.history.push(DriveNews::Up);
            }
        })?;
        self.shared.state().charges.forgive_drive(serial);
        Ok(())
    }

    /// Has a drive used no more: it ends the job it is at, its cartridge is put back, then it is down. Returns at once.
    /// The process that starts next uses it again, unless it is told the same.
    pub fn drive_down(&self, serial: &str, why: &str) -> Result<(), Error> {
        self.with_drive(serial, |drive| {
            if drive.is_down() {
                drive.state = DriveState::Down { why: why.to_owned() };
                return;
            }
            drive.out_of_use = Some(why.to_owned());
            if drive.state == DriveState::Idle && drive.holds.is_none() {
                drive.set_down();
            }
        })
    }

    /// Cleans a drive after the job it is at. Blocks, for minutes.
    pub fn clean(&self, serial: &str) -> Result<(), Error> {
        let (sender, receiver) = mpsc::sync_channel(1);
        if self.shared.state().stopping {
            return Err(Error::Stopping);
        }
        let asked = self.with_drive(serial, |drive| {
            if drive.is_down() || drive.out_of_use.is_some() {
                return Err(Error::DriveDown { drive: serial.to_owned() });
            }
            // The receiver lives until the answer is here.
            drive.clean = Some(Box::new(move |result| drop(sender.send(result))));
            Ok(())
        });
        asked??;
        // A drive that went down meanwhile, or whoever asked next, dropped the question.
        receiver.recv().unwrap_or_else(|_| Err(Error::DriveDown { drive: serial.to_owned() }))
    }

    /// What a drive has been through since the process began.
    pub fn history(&self, serial: &str) -> Result<History, Error> {
        self.with_drive(serial, |drive| drive.history.clone())
    }

    fn with_drive<T>(&self, serial: &str, act: impl FnOnce(&mut DriveRecord) -> T) -> Result<T, Error> {
        let mut state = self.shared.state();
        let State { drives, .. } = &mut *state;
        let unknown =
            Error::NoSuchDrive { library: self.shared.config.name.clone(), drive: serial.to_owned() };
        let drive = drives.iter_mut().find(|drive| drive.serial == serial).ok_or(unknown)?;
        let done = act(drive);
        drop(state);
        self.shared.changed.notify_all();
        Ok(done)
    }
}
