//! A fault as a line of configuration: whose command, which, what happens, how often.
//!
//! ```text
//! drive 0 write_6 fail 3/0C/00 after 5         the sixth WRITE(6) of the first drive
//! drive 1 any fail-after 4/44/00 deferred      an error of an earlier command, told by whatever comes next
//! changer move_medium silence times 2          two moves that do not answer and do not move
//! drive 0 write_filemarks_6 power-cut          also: silence-after, busy, power-cut-after
//! drive 0 slow-load 5                          the next load is becoming ready for five TEST UNIT READY
//! drive 0 alert 20                             a TapeAlert
//! cartridge TG0001L9 unreadable 1/57           block 57 of partition 1
//! ```

use super::{Effect, Fault, Planned, Unit};
use crate::Error;
use crate::geometry::Barcode;
use crate::sense::Sense;
use std::str::{FromStr, SplitWhitespace};

impl FromStr for Planned {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut words = Words { text, words: text.split_whitespace() };
        let planned = match words.next("whose command")? {
            "changer" => words.command(Unit::Changer)?,
            "drive" => {
                let drive = words.number("which drive")?;
                words.of_drive(drive)?
            }
            "cartridge" => words.of_cartridge()?,
            _ => return Err(words.unclear("changer, drive or cartridge")),
        };
        match words.words.next() {
            None => Ok(planned),
            Some(_) => Err(words.unclear("the end of the line")),
        }
    }
}

struct Words<'a> {
    text: &'a str,
    words: SplitWhitespace<'a>,
}

impl<'a> Words<'a> {
    fn unclear(&self, what: &'static str) -> Error {
        Error::Fault { text: self.text.to_owned(), what }
    }

    fn next(&mut self, what: &'static str) -> Result<&'a str, Error> {
        self.words.next().ok_or_else(|| self.unclear(what))
    }

    fn number<N: FromStr>(&mut self, what: &'static str) -> Result<N, Error> {
        let word = self.next(what)?;
        word.parse().map_err(|_| self.unclear(what))
    }

    fn of_drive(&mut self, drive: usize) -> Result<Planned, Error> {
        let mut ahead = self.words.clone();
        match ahead.next() {
            Some("slow-load") => {
                self.words = ahead;
                Ok(Planned::SlowLoad { drive, polls: self.number("how often it is asked")? })
            }
            Some("alert") => {
                self.words = ahead;
                let number = self.number("an alert from 1 to 64")?;
                match (1..=64).contains(&number) {
                    true => Ok(Planned::Alert { drive, number }),
                    false => Err(self.unclear("an alert from 1 to 64")),
                }
            }
            _ => self.command(Unit::Drive(drive)),
        }
    }

    fn of_cartridge(&mut self) -> Result<Planned, Error> {
        let name = self.next("a barcode")?;
        let barcode = Barcode::parse(name).map_err(|_| self.unclear("a barcode"))?;
        if self.next("unreadable")? != "unreadable" {
            return Err(self.unclear("unreadable"));
        }
        let place = self.next("partition/block")?.split_once('/');
        let place = place.and_then(|(partition, block)| Some((partition.parse().ok()?, block.parse().ok()?)));
        match place {
            Some((partition @ 0..=1, block)) => Ok(Planned::Unreadable { barcode, partition, block }),
            _ => Err(self.unclear("partition/block")),
        }
    }

    fn command(&mut self, unit: Unit) -> Result<Planned, Error> {
        let opcode = match self.next("which command")? {
            "any" => None,
            name => Some(scsi::opcode::by_name(name).ok_or_else(|| self.unclear("which command"))?),
        };
        let effect = match self.next("what happens")? {
            "fail" => Effect::Fail(self.codes()?),
            "fail-after" => Effect::FailAfter(self.codes()?),
            "silence" => Effect::Silence,
            "silence-after" => Effect::SilenceAfter,
            "busy" => Effect::Busy,
            "power-cut" => Effect::PowerCut,
            "power-cut-after" => Effect::PowerCutAfter,
            _ => return Err(self.unclear("what happens")),
        };
        let mut fault = Fault { unit, opcode, skip: 0, times: 1, effect };
        while let Some(word) = self.words.next() {
            match (word, &mut fault.effect) {
                ("after", _) => fault.skip = self.number("how often")?,
                ("times", _) => fault.times = self.number("how often")?,
                ("deferred", Effect::Fail(sense) | Effect::FailAfter(sense)) => *sense = sense.deferred(),
                _ => return Err(self.unclear("after, times or deferred")),
            }
        }
        Ok(Planned::Command(fault))
    }

    /// Sense key, code and qualifier in hexadecimal: `3/0C/00`.
    fn codes(&mut self) -> Result<Sense, Error> {
        let text = self.next("key/code/qualifier")?;
        let mut parts = text.split('/').map(|part| u8::from_str_radix(part, 16).ok());
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next()) {
            (Some(key @ 0..16), Some(asc), Some(ascq), None) => Ok(Sense::new(key, asc, ascq)),
            _ => Err(self.unclear("key/code/qualifier")),
        }
    }
}
