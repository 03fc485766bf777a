//! INQUIRY (SPC-5, 6.6), standard data and the pages 00h, 80h and 83h, for either kind of unit.

use crate::reply::{Outcome, deliver};
use crate::sense::INVALID_FIELD_IN_CDB;
use scsi::Data;
use scsi::spc::{Designator, DeviceType, InquiryData, vpd, vpd_page};

/// Who a unit says it is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    device_type: DeviceType,
    product: &'static str,
    pub serial: String,
}

impl Identity {
    pub fn drive(serial: String) -> Self {
        Self { device_type: DeviceType::Drive, product: "VIRTUAL LTO-9", serial }
    }

    pub fn changer(serial: String) -> Self {
        Self { device_type: DeviceType::Changer, product: "VIRTUAL LIBRARY", serial }
    }

    /// Vendor, product and serial number: the T10 designator of page 83h and of DVCID.
    pub fn designator(&self) -> Designator {
        Designator::t10(VENDOR, self.product, &self.serial)
    }

    pub fn inquiry(&self, page: Option<u8>, allocation: u16, data: &mut Data<'_>) -> Outcome {
        let vital = |page, body: &[u8]| vpd_page(self.device_type, page, body);
        let bytes = match page {
            None => self.standard(),
            Some(vpd::SUPPORTED) => {
                vital(vpd::SUPPORTED, &[vpd::SUPPORTED, vpd::SERIAL, vpd::IDENTIFICATION])
            }
            Some(vpd::SERIAL) => vital(vpd::SERIAL, self.serial.as_bytes()),
            Some(vpd::IDENTIFICATION) => vital(vpd::IDENTIFICATION, &self.designator().encode()),
            Some(_) => return Err(INVALID_FIELD_IN_CDB.into()),
        };
        deliver(data, usize::from(allocation), &bytes)
    }

    fn standard(&self) -> Vec<u8> {
        let (vendor, product, revision) = (VENDOR.to_owned(), self.product.to_owned(), REVISION.to_owned());
        let device_type = self.device_type;
        InquiryData { device_type, connected: true, vendor, product, revision }.encode()
    }
}

const VENDOR: &str = "TAPEGATE";
const REVISION: &str = "0001";
