//! MODE SENSE and MODE SELECT in their 6- and 10-byte forms (SPC-5, 6.13 to 6.16): headers around the pages.

use crate::reply::{Outcome, be16, deliver, field16, parameter_list};
use crate::sense::{
    INVALID_FIELD_IN_CDB, INVALID_FIELD_IN_PARAMETER_LIST, PARAMETER_LIST_LENGTH, SAVING_NOT_SUPPORTED, Sense,
};
use scsi::{Cdb, Data, opcode};

/// What stands before the pages.
pub(crate) struct Preamble {
    pub medium_type: u8,
    pub device_specific: u8,
    /// Eight bytes, or nothing for a unit without blocks.
    pub block_descriptor: Vec<u8>,
}

/// What MODE SELECT carries.
pub(crate) struct Selection<'a> {
    pub device_specific: u8,
    pub block_descriptor: &'a [u8],
    /// Pages, each with its header of two bytes.
    pub pages: &'a [u8],
}

/// Answers MODE SENSE with those of `pages` (code, page with its header) that are asked for.
pub(crate) fn sense(cdb: &Cdb, data: &mut Data<'_>, preamble: &Preamble, pages: &[Vec<u8>]) -> Outcome {
    let block = cdb.as_bytes();
    let (control, wanted) = (block[2] >> 6, block[2] & 0x3F);
    match control {
        SAVED => return Err(SAVING_NOT_SUPPORTED.into()),
        _ if block[3] != 0 => return Err(INVALID_FIELD_IN_CDB.into()),
        _ => {}
    }
    let mut body = Vec::new();
    for page in pages.iter().filter(|page| wanted == ALL_PAGES || page[0] == wanted) {
        let start = body.len();
        body.extend_from_slice(page);
        if control == CHANGEABLE {
            body[start + 2..].fill(0);
        }
    }
    if body.is_empty() && wanted != NO_PAGE {
        return Err(INVALID_FIELD_IN_CDB.into());
    }
    let descriptor: &[u8] = if block[1] & 0x08 != 0 { &[] } else { &preamble.block_descriptor };
    if cdb.opcode() == opcode::MODE_SENSE_10 {
        let [high, low] = field16(6 + descriptor.len() + body.len());
        let [descriptor_high, descriptor_low] = field16(descriptor.len());
        let (medium, specific) = (preamble.medium_type, preamble.device_specific);
        let header = [high, low, medium, specific, 0, 0, descriptor_high, descriptor_low];
        deliver(data, usize::from(be16(block, 7)), &[&header, descriptor, &body].concat())
    } else {
        let length = u8::try_from(3 + descriptor.len() + body.len()).expect("short pages");
        let descriptor_length = u8::try_from(descriptor.len()).expect("eight bytes at most");
        let header = [length, preamble.medium_type, preamble.device_specific, descriptor_length];
        deliver(data, usize::from(block[4]), &[&header, descriptor, &body].concat())
    }
}

/// Takes a MODE SELECT apart.
pub(crate) fn select<'a>(cdb: &Cdb, data: &Data<'a>) -> Result<Selection<'a>, Sense> {
    let block = cdb.as_bytes();
    if block[1] & 0x01 != 0 {
        return Err(INVALID_FIELD_IN_CDB);
    }
    let ten = cdb.opcode() == opcode::MODE_SELECT_10;
    let length = if ten { usize::from(be16(block, 7)) } else { usize::from(block[4]) };
    let list = parameter_list(data, length)?;
    let header_length = if ten { 8 } else { 4 };
    if list.len() < header_length {
        return Err(PARAMETER_LIST_LENGTH);
    }
    let (header, rest) = list.split_at(header_length);
    let descriptor_length = if ten { usize::from(be16(header, 6)) } else { usize::from(header[3]) };
    if !matches!(descriptor_length, 0 | 8) {
        return Err(INVALID_FIELD_IN_PARAMETER_LIST);
    }
    if rest.len() < descriptor_length {
        return Err(PARAMETER_LIST_LENGTH);
    }
    let (block_descriptor, pages) = rest.split_at(descriptor_length);
    Ok(Selection { device_specific: header[if ten { 3 } else { 2 }], block_descriptor, pages })
}

/// The pages of a MODE SELECT list: code, and body without its header.
pub(crate) fn pages(mut list: &[u8]) -> Result<Vec<(u8, &[u8])>, Sense> {
    let mut pages = Vec::new();
    while !list.is_empty() {
        let (header, rest) = list.split_at_checked(2).ok_or(PARAMETER_LIST_LENGTH)?;
        let (body, rest) = rest.split_at_checked(usize::from(header[1])).ok_or(PARAMETER_LIST_LENGTH)?;
        pages.push((header[0] & 0x3F, body));
        list = rest;
    }
    Ok(pages)
}

const CHANGEABLE: u8 = 1;
const SAVED: u8 = 3;
const NO_PAGE: u8 = 0x00;
const ALL_PAGES: u8 = 0x3F;
