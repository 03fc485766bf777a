//! MODE SENSE and MODE SELECT in their 6- and 10-byte forms (SPC-5, 6.13 to 6.16): the pages between the headers.

use crate::reply::{Outcome, deliver, parameter_list};
use crate::sense::{
    INVALID_FIELD_IN_CDB, INVALID_FIELD_IN_PARAMETER_LIST, PARAMETER_LIST_LENGTH, SAVING_NOT_SUPPORTED, Sense,
};
use scsi::mode::{ModeData, page};
use scsi::spc::{ModeForm, ModeValues};
use scsi::{Data, ParseError};

/// What MODE SENSE asks for.
pub(crate) struct Wanted {
    pub form: ModeForm,
    pub no_block_descriptor: bool,
    pub values: ModeValues,
    pub page: u8,
    pub subpage: u8,
    pub allocation: u16,
}

/// Answers MODE SENSE with the header and those of `pages` (each with its own header) that are asked for.
pub(crate) fn sense(wanted: &Wanted, data: &mut Data<'_>, head: ModeData, pages: &[Vec<u8>]) -> Outcome {
    if wanted.values == ModeValues::Saved {
        return Err(SAVING_NOT_SUPPORTED.into());
    }
    let mut body = Vec::new();
    for bytes in pages.iter().filter(|bytes| is_wanted(wanted, bytes)) {
        let start = body.len();
        body.extend_from_slice(bytes);
        if wanted.values == ModeValues::Changeable {
            body[start + header_length(bytes)..].fill(0);
        }
    }
    if body.is_empty() && wanted.page != NO_PAGE {
        return Err(INVALID_FIELD_IN_CDB.into());
    }
    let block = head.block.filter(|_| !wanted.no_block_descriptor);
    let reply = ModeData { block, pages: body, ..head };
    deliver(data, usize::from(wanted.allocation), &reply.encode_sense(wanted.form))
}

fn is_wanted(wanted: &Wanted, bytes: &[u8]) -> bool {
    let subpage = if bytes[0] & SUBPAGE_FORMAT == 0 { 0 } else { bytes[1] };
    let code = wanted.page == page::ALL || wanted.page == bytes[0] & 0x3F;
    code && (wanted.subpage == ALL_SUBPAGES || wanted.subpage == subpage)
}

/// The parameter list of a MODE SELECT of `length` bytes, in either form.
pub(crate) fn select(form: ModeForm, length: u16, data: &Data<'_>) -> Result<ModeData, Sense> {
    let list = parameter_list(data, usize::from(length))?;
    let selection = ModeData::parse_select(form, list).map_err(|error| match error {
        ParseError::Truncated { .. } => PARAMETER_LIST_LENGTH,
        ParseError::Invalid { .. } => INVALID_FIELD_IN_PARAMETER_LIST,
    })?;
    let descriptors = list.len() - selection.pages.len() - if form == ModeForm::Ten { 8 } else { 4 };
    if !matches!(descriptors, 0 | 8) {
        return Err(INVALID_FIELD_IN_PARAMETER_LIST);
    }
    Ok(selection)
}

/// One page of a MODE SELECT list.
pub(crate) struct Page<'a> {
    pub code: u8,
    pub subpage: u8,
    /// With its header.
    pub bytes: &'a [u8],
}

/// The pages of a MODE SELECT list.
pub(crate) fn pages(mut list: &[u8]) -> Result<Vec<Page<'_>>, Sense> {
    let mut pages = Vec::new();
    while let [first, second, ..] = *list {
        let (subpage, length) = match first & SUBPAGE_FORMAT != 0 {
            true => {
                let length = list.get(2..4).ok_or(PARAMETER_LIST_LENGTH)?;
                (second, 4 + usize::from(u16::from_be_bytes([length[0], length[1]])))
            }
            false => (0, 2 + usize::from(second)),
        };
        let (bytes, rest) = list.split_at_checked(length).ok_or(PARAMETER_LIST_LENGTH)?;
        pages.push(Page { code: first & 0x3F, subpage, bytes });
        list = rest;
    }
    if list.is_empty() { Ok(pages) } else { Err(PARAMETER_LIST_LENGTH) }
}

fn header_length(page: &[u8]) -> usize {
    if page[0] & SUBPAGE_FORMAT == 0 { 2 } else { 4 }
}

const NO_PAGE: u8 = 0x00;
const ALL_SUBPAGES: u8 = 0xFF;
const SUBPAGE_FORMAT: u8 = 0x40;
