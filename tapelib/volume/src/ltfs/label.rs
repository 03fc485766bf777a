//! The two labels at the beginning of each partition: an ANSI VOL1 label and an XML label.

use std::io::Write;

use super::limits::{LABEL_BLOCK_SIZE, LABEL_BYTES_MAX};
use super::xml::{Events, Writer};
use super::{Partition, Timestamp, VolumeSerial, VolumeUuid};

/// Bytes of the VOL1 label (ANSI X3.27, as LTFS fixes its fields).
pub const VOL1_BYTES: usize = 80;

/// What the labels of one partition say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Volume serial, in the VOL1 label.
    pub serial: VolumeSerial,
    /// Volume UUID.
    pub uuid: VolumeUuid,
    /// Program that formatted it.
    pub creator: String,
    /// When it was formatted.
    pub format_time: Timestamp,
    /// Bytes of every block but the last of a file.
    pub block_bytes: u32,
}

/// The 80 bytes of the VOL1 label: `VOL1`, the serial, `L`, and `LTFS` as implementation identifier, version 4.
pub fn vol1(serial: VolumeSerial) -> [u8; VOL1_BYTES] {
    let mut label = [b' '; VOL1_BYTES];
    label[..4].copy_from_slice(b"VOL1");
    label[4..10].copy_from_slice(serial.as_bytes());
    label[10] = b'L';
    label[24..28].copy_from_slice(b"LTFS");
    label[79] = b'4';
    label
}

/// The serial of a VOL1 label, or what is wrong with it.
pub fn parse_vol1(block: &[u8]) -> Result<VolumeSerial, String> {
    if block.len() != VOL1_BYTES || &block[..4] != b"VOL1" {
        return Err("no VOL1 label".to_owned());
    }
    if &block[24..28] != b"LTFS" {
        return Err("the VOL1 label does not say LTFS".to_owned());
    }
    let serial = std::str::from_utf8(&block[4..10]).ok().and_then(VolumeSerial::parse);
    serial.ok_or_else(|| "the VOL1 label has no volume serial of six letters or digits".to_owned())
}

/// The XML label of a partition.
pub fn xml(label: &Label, partition: Partition) -> Vec<u8> {
    let mut out = Vec::new();
    let mut write = || -> std::io::Result<()> {
        let mut xml = Writer::start(&mut out)?;
        xml.open_versioned("ltfslabel", "2.4.0")?;
        xml.text("creator", &label.creator)?;
        xml.text("formattime", &label.format_time.to_string())?;
        xml.text("volumeuuid", &label.uuid.to_string())?;
        xml.open("location")?;
        xml.text("partition", &partition.letter().to_string())?;
        xml.close("location")?;
        xml.open("partitions")?;
        xml.text("index", &Partition::Index.letter().to_string())?;
        xml.text("data", &Partition::Data.letter().to_string())?;
        xml.close("partitions")?;
        xml.text("blocksize", &label.block_bytes.to_string())?;
        xml.text("compression", "false")?;
        xml.close("ltfslabel")?;
        xml.finish()?.flush()
    };
    write().expect("writing to memory does not fail");
    assert!(out.len() <= LABEL_BYTES_MAX, "an XML label of {} bytes", out.len());
    out
}

/// Reads the XML label of a partition, or says what is wrong with it. Partition letters other than `a` for the index
/// partition and `b` for the data partition are refused: this room never writes them.
pub fn parse_xml(block: &[u8], serial: VolumeSerial, partition: Partition) -> Result<Label, String> {
    if block.len() > LABEL_BYTES_MAX {
        return Err(format!("the XML label is longer than {LABEL_BYTES_MAX} bytes"));
    }
    let mut events = Events::new(block);
    events.root("ltfslabel")?;
    let (mut creator, mut time, mut uuid, mut block_bytes) = (String::new(), None, None, None);
    let (mut own, mut index, mut data) = (None, None, None);
    while let Some(element) = events.child()? {
        match element.name() {
            "creator" => creator = events.text(&element)?,
            "formattime" => time = Timestamp::parse(&events.text(&element)?),
            "volumeuuid" => uuid = VolumeUuid::parse(&events.text(&element)?),
            "blocksize" => block_bytes = events.text(&element)?.parse().ok(),
            "location" => own = one_of(&mut events, "partition")?,
            "partitions" => (index, data) = two_of(&mut events)?,
            _ => events.skip(&element)?,
        }
    }
    let letter = |partition: Partition| Some(partition.letter().to_string());
    if own != letter(partition) || index != letter(Partition::Index) || data != letter(Partition::Data) {
        return Err("the partitions have other letters than a (index) and b (data)".to_owned());
    }
    match (time, uuid, block_bytes) {
        (Some(format_time), Some(uuid), Some(block_bytes))
            if (4096..=LABEL_BLOCK_SIZE).contains(&block_bytes) =>
        {
            Ok(Label { serial, uuid, creator, format_time, block_bytes })
        }
        _ => Err("the XML label lacks a valid format time, UUID or block size".to_owned()),
    }
}

fn one_of(events: &mut Events<&[u8]>, name: &str) -> Result<Option<String>, String> {
    let mut found = None;
    while let Some(element) = events.child()? {
        if element.name() == name { found = Some(events.text(&element)?) } else { events.skip(&element)? }
    }
    Ok(found)
}

fn two_of(events: &mut Events<&[u8]>) -> Result<(Option<String>, Option<String>), String> {
    let (mut index, mut data) = (None, None);
    while let Some(element) = events.child()? {
        match element.name() {
            "index" => index = Some(events.text(&element)?),
            "data" => data = Some(events.text(&element)?),
            _ => events.skip(&element)?,
        }
    }
    Ok((index, data))
}
