//! READ ATTRIBUTE and WRITE ATTRIBUTE (SPC-5, 6.21 and 6.45): the cartridge memory over the wire.

use super::Medium;
use crate::memory::{Attribute, AttributeFormat, COHERENCY, is_host_attribute};
use crate::reply::{Outcome, be16, be32, deliver, field16, field32, padded, parameter_list};
use crate::sense::{
    INVALID_FIELD_IN_CDB, INVALID_FIELD_IN_PARAMETER_LIST, PARAMETER_LIST_LENGTH, Sense, WRITE_PROTECTED,
};
use scsi::spc::AttributeQuery;
use scsi::{Data, mam};

impl Medium {
    /// Values (service action 00h) or identifiers (01h) from the first one asked for on, which must exist.
    pub(super) fn read_attribute(
        &mut self,
        what: AttributeQuery,
        partition: u8,
        (first, allocation): (u16, u32),
        data: &mut Data<'_>,
    ) -> Outcome {
        let attributes = self.attributes(self.attribute_partition(partition)?);
        let bytes = match what {
            AttributeQuery::Values if attributes.iter().any(|attribute| attribute.id == first) => {
                let asked = attributes.iter().filter(|attribute| attribute.id >= first);
                // Looking at the volume change reference promises that the next change shows.
                self.reference_due |= first <= VOLUME_CHANGE_REFERENCE;
                asked.flat_map(to_bytes).collect::<Vec<u8>>()
            }
            AttributeQuery::List => {
                attributes.iter().flat_map(|attribute| attribute.id.to_be_bytes()).collect()
            }
            AttributeQuery::Values => return Err(INVALID_FIELD_IN_CDB.into()),
        };
        let length = usize::try_from(allocation).unwrap_or(usize::MAX);
        deliver(data, length, &[&field32(bytes.len()), bytes.as_slice()].concat())
    }

    /// All attributes of the list are stored, durably, or none.
    pub(super) fn write_attribute(&mut self, partition: u8, length: u32, data: &Data<'_>) -> Outcome {
        let partition = self.attribute_partition(partition)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > LIST_BYTES_MAX {
            return Err(INVALID_FIELD_IN_CDB.into());
        }
        let list = parameter_list(data, length)?;
        if list.is_empty() {
            return Ok(0);
        }
        let attributes = parse_list(list)?;
        if self.cartridge.memory().write_protected {
            return Err(WRITE_PROTECTED.into());
        }
        self.reference_due |= attributes.iter().any(|attribute| attribute.id == COHERENCY);
        self.cartridge.change_memory(|memory| {
            for attribute in attributes {
                memory.set_host_attribute(partition, attribute);
            }
        })?;
        Ok(length)
    }

    fn attribute_partition(&self, partition: u8) -> Result<usize, Sense> {
        let partition = usize::from(partition);
        (partition < self.cartridge.partition_count()).then_some(partition).ok_or(INVALID_FIELD_IN_CDB)
    }

    fn attributes(&self, partition: usize) -> Vec<Attribute> {
        let memory = self.cartridge.memory();
        let mebibytes = |bytes: u64| (bytes >> 20).to_be_bytes().to_vec();
        let binary = AttributeFormat::Binary;
        let ascii = AttributeFormat::Ascii;
        let fixed = [
            (0x0000, binary, mebibytes(self.cartridge.bytes_left(partition))),
            (0x0001, binary, mebibytes(self.cartridge.capacity(partition))),
            (0x0003, binary, memory.load_count.to_be_bytes().to_vec()),
            (VOLUME_CHANGE_REFERENCE, binary, memory.volume_change_reference.to_be_bytes().to_vec()),
            (0x0400, ascii, padded("TAPEGATE", 8)),
            (0x0401, ascii, padded(&memory.serial, 32)),
            (0x0405, binary, vec![memory.density]),
            (0x0408, binary, vec![if memory.write_once { mam::WRITE_ONCE } else { DATA_MEDIUM }]),
        ];
        let fixed =
            fixed.into_iter().map(|(id, format, value)| Attribute { id, format, read_only: true, value });
        let mut attributes: Vec<_> = fixed.chain(memory.host_attributes(partition)).collect();
        attributes.sort_by_key(|attribute| attribute.id);
        attributes
    }
}

fn to_bytes(attribute: &Attribute) -> Vec<u8> {
    let [id_high, id_low] = attribute.id.to_be_bytes();
    let [high, low] = field16(attribute.value.len());
    let format = u8::from(attribute.read_only) << 7 | attribute.format as u8;
    [&[id_high, id_low, format, high, low], attribute.value.as_slice()].concat()
}

fn parse_list(list: &[u8]) -> Result<Vec<Attribute>, Sense> {
    let (header, mut rest) = list.split_at_checked(4).ok_or(PARAMETER_LIST_LENGTH)?;
    if usize::try_from(be32(header, 0)) != Ok(rest.len()) {
        return Err(PARAMETER_LIST_LENGTH);
    }
    let mut attributes = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at_checked(5).ok_or(PARAMETER_LIST_LENGTH)?;
        let (value, tail) = tail.split_at_checked(usize::from(be16(head, 3))).ok_or(PARAMETER_LIST_LENGTH)?;
        let format = match head[2] & 0x03 {
            0 => AttributeFormat::Binary,
            1 => AttributeFormat::Ascii,
            2 => AttributeFormat::Text,
            _ => return Err(INVALID_FIELD_IN_PARAMETER_LIST),
        };
        let id = be16(head, 0);
        if !is_host_attribute(id) || value.len() > VALUE_BYTES_MAX {
            return Err(INVALID_FIELD_IN_PARAMETER_LIST);
        }
        attributes.push(Attribute { id, format, read_only: false, value: value.to_vec() });
        rest = tail;
    }
    Ok(attributes)
}

const VOLUME_CHANGE_REFERENCE: u16 = 0x0009;
const DATA_MEDIUM: u8 = 0x00;
const VALUE_BYTES_MAX: usize = 1024;
const LIST_BYTES_MAX: usize = 64 << 10;
