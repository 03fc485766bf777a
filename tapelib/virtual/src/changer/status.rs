//! READ ELEMENT STATUS (SMC-3, 6.11).

use super::Changer;
use crate::geometry::ElementKind;
use crate::reply::{Outcome, deliver, field16, field32, padded};
use crate::sense::INVALID_ELEMENT_ADDRESS;
use scsi::Data;
use scsi::smc::ElementQuery;

impl Changer {
    pub(super) fn read_element_status(&self, query: &ElementQuery, data: &mut Data<'_>) -> Outcome {
        let (start, count) = (query.start.0, usize::from(query.count));
        let code = query.kind.map_or(0, scsi::ElementKind::code);
        let kinds = ElementKind::ALL.into_iter().filter(|kind| code == 0 || kind.code() == code);
        let mut elements: Vec<(u16, ElementKind)> = kinds
            .flat_map(|kind| self.geometry.addresses(kind).map(move |element| (element, kind)))
            .filter(|(element, _)| *element >= start)
            .collect();
        let last = ElementKind::ALL.into_iter().map(|kind| self.geometry.addresses(kind).end).max();
        if last.is_none_or(|end| start >= end) {
            return Err(INVALID_ELEMENT_ADDRESS.into());
        }
        elements.sort_unstable();
        elements.truncate(count);
        let mut pages = Vec::new();
        for run in elements.chunk_by(|left, right| left.1 == right.1) {
            pages.extend(self.page(run, query));
        }
        let first = elements.first().map_or(0, |(element, _)| *element);
        let mut header = Vec::with_capacity(8 + pages.len());
        header.extend(first.to_be_bytes());
        header.extend(field16(elements.len()));
        header.extend(field32(pages.len()));
        header.extend(pages);
        deliver(data, usize::try_from(query.allocation).unwrap_or(usize::MAX), &header)
    }

    /// One page: elements of one type, all descriptors of one length.
    fn page(&self, elements: &[(u16, ElementKind)], wanted: &ElementQuery) -> Vec<u8> {
        let Some(&(_, kind)) = elements.first() else {
            return Vec::new();
        };
        let descriptors: Vec<Vec<u8>> =
            elements.iter().map(|(element, kind)| self.descriptor(*element, *kind, wanted)).collect();
        let length = descriptors.first().map_or(0, Vec::len);
        let mut page = vec![kind.code(), u8::from(wanted.volume_tags) << 7];
        page.extend(field16(length));
        page.extend(field32(length * descriptors.len()));
        page.extend(descriptors.concat());
        page
    }

    fn descriptor(&self, element: u16, kind: ElementKind, wanted: &ElementQuery) -> Vec<u8> {
        let held = self.inventory.at(element);
        let index = self.geometry.drive_index(element);
        let accessible = index.is_none_or(|index| self.drive(index).is_accessible());
        let mut flags = u8::from(held.is_some()) | u8::from(accessible) << 3;
        match kind {
            ElementKind::ImportExport => {
                flags |= IMPORT_ENABLED | EXPORT_ENABLED;
                // Put there by a hand, not by the robot.
                flags |= u8::from(held.is_some_and(|held| held.source.is_none())) << 1;
            }
            ElementKind::Transport => flags &= !ACCESS,
            ElementKind::Storage | ElementKind::Drive => {}
        }
        let mut bytes = element.to_be_bytes().to_vec();
        bytes.extend([flags, 0, 0, 0, 0, 0, 0]);
        let source = held.and_then(|held| held.source);
        let medium = if held.is_some() { DATA_MEDIUM } else { 0 };
        bytes.push(u8::from(source.is_some()) << 7 | medium);
        bytes.extend(source.unwrap_or(0).to_be_bytes());
        if wanted.volume_tags {
            match held {
                Some(held) => bytes.extend([padded(held.barcode.as_str(), 32), vec![0; 4]].concat()),
                None => bytes.extend([0; 36]),
            }
        }
        match index.filter(|_| wanted.device_ids) {
            Some(index) => {
                bytes.extend(self.drive(index).identity().designator().encode());
            }
            None => bytes.extend([0; 4]),
        }
        bytes
    }
}

const ACCESS: u8 = 0x08;
const EXPORT_ENABLED: u8 = 0x10;
const IMPORT_ENABLED: u8 = 0x20;
const DATA_MEDIUM: u8 = 0x01;
