//! INQUIRY (SPC-5, 6.6), standard data and the pages 00h, 80h and 83h, for either kind of unit.

use crate::reply::{Outcome, be16, deliver, field16, padded};
use crate::sense::INVALID_FIELD_IN_CDB;
use scsi::{Cdb, Data};

/// Who a unit says it is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    device_type: u8,
    product: &'static str,
    pub serial: String,
}

impl Identity {
    pub fn drive(serial: String) -> Self {
        Self { device_type: 0x01, product: "VIRTUAL LTO-9", serial }
    }

    pub fn changer(serial: String) -> Self {
        Self { device_type: 0x08, product: "VIRTUAL LIBRARY", serial }
    }

    /// Vendor, product and serial number: the T10 designator of page 83h and of DVCID.
    pub fn designator(&self) -> Vec<u8> {
        [padded(VENDOR, 8), padded(self.product, 16), self.serial.clone().into_bytes()].concat()
    }

    pub fn inquiry(&self, cdb: &Cdb, data: &mut Data<'_>) -> Outcome {
        let block = cdb.as_bytes();
        let (vital, page) = (block[1] & 0x01 != 0, block[2]);
        let bytes = match (vital, page) {
            (false, 0) => self.standard(),
            (true, 0x00) => self.page(page, &[0x00, 0x80, 0x83]),
            (true, 0x80) => self.page(page, self.serial.as_bytes()),
            (true, 0x83) => {
                let designator = self.designator();
                let length = u8::try_from(designator.len()).expect("a short serial number");
                // ASCII; T10 vendor identification, of the logical unit.
                self.page(page, &[&[0x02, 0x01, 0, length], designator.as_slice()].concat())
            }
            _ => return Err(INVALID_FIELD_IN_CDB.into()),
        };
        deliver(data, usize::from(be16(block, 3)), &bytes)
    }

    fn standard(&self) -> Vec<u8> {
        // Removable; SPC-4; 31 more bytes; nothing optional.
        let mut bytes = vec![self.device_type, 0x80, 0x06, 0x02, 31, 0, 0, 0];
        bytes.extend(padded(VENDOR, 8));
        bytes.extend(padded(self.product, 16));
        bytes.extend(padded(REVISION, 4));
        bytes
    }

    fn page(&self, code: u8, payload: &[u8]) -> Vec<u8> {
        let [high, low] = field16(payload.len());
        [&[self.device_type, code, high, low], payload].concat()
    }
}

const VENDOR: &str = "TAPEGATE";
const REVISION: &str = "0001";
