//! What LTFS keeps in the cartridge memory (MAM): which index is the newest, and what the volume is called.

use super::{Attribute, AttributeFormat, BlockTape, Partition, TapeError, VolumeUuid};

/// Volume change reference: the drive changes it whenever the partition is written (SPC-5, 7.4.2.2).
pub const VOLUME_CHANGE_REFERENCE: u16 = 0x0009;
/// Serial number of the medium (SPC-5, 7.4.2.3).
pub const MEDIUM_SERIAL_NUMBER: u16 = 0x0401;
/// Volume coherency information (SPC-5, 7.4.2.4; LTFS 2.4, 10.4).
pub const VOLUME_COHERENCY: u16 = 0x080C;

/// Attributes worth keeping beside a cartridge's bytes: those this room reads or writes.
pub const KNOWN: [u16; 11] = [
    VOLUME_CHANGE_REFERENCE,
    MEDIUM_SERIAL_NUMBER,
    0x0800,
    0x0801,
    0x0802,
    0x0803,
    0x0805,
    0x0806,
    0x0808,
    0x080B,
    VOLUME_COHERENCY,
];

const COHERENCY_BYTES: usize = 70;

/// Where a partition's newest index lies, as the cartridge memory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coherency {
    /// The partition's volume change reference when this was written: if it is another now, something was written
    /// since.
    pub change_reference: u64,
    /// Generation of the index.
    pub generation: u64,
    /// Its first block.
    pub block: u64,
    /// The volume.
    pub uuid: VolumeUuid,
}

impl Coherency {
    /// The 70 bytes of the attribute.
    pub fn to_attribute(self) -> Attribute {
        let mut value = Vec::with_capacity(COHERENCY_BYTES);
        value.push(8); // length of the change reference
        value.extend_from_slice(&self.change_reference.to_be_bytes());
        value.extend_from_slice(&self.generation.to_be_bytes());
        value.extend_from_slice(&self.block.to_be_bytes());
        value.extend_from_slice(&43_u16.to_be_bytes()); // bytes that follow
        value.extend_from_slice(b"LTFS\0");
        value.extend_from_slice(self.uuid.to_string().as_bytes());
        value.extend_from_slice(&[0, 1]); // end of the UUID, version of this layout
        Attribute { id: VOLUME_COHERENCY, format: AttributeFormat::Binary, value }
    }

    /// Reads the attribute; `None` when it is not LTFS's.
    pub fn parse(value: &[u8]) -> Option<Self> {
        if value.len() < COHERENCY_BYTES - 1 || value[0] != 8 || &value[27..32] != b"LTFS\0" {
            return None;
        }
        let number = |at: usize| u64::from_be_bytes(value[at..at + 8].try_into().expect("eight bytes"));
        let uuid = VolumeUuid::parse(std::str::from_utf8(&value[32..68]).ok()?)?;
        Some(Self { change_reference: number(1), generation: number(9), block: number(17), uuid })
    }

    /// What the cartridge memory says of a partition, when that is of this volume and nothing was written since.
    pub fn current<T: BlockTape + ?Sized>(
        tape: &mut T,
        partition: Partition,
        uuid: VolumeUuid,
    ) -> Result<Option<Self>, TapeError> {
        let stored = tape.read_attribute(partition, VOLUME_COHERENCY)?;
        let Some(stored) = stored.and_then(|attribute| Self::parse(&attribute.value)) else {
            return Ok(None);
        };
        let reference = change_reference(tape, partition)?;
        Ok((stored.uuid == uuid && reference == Some(stored.change_reference)).then_some(stored))
    }
}

/// The volume change reference of a partition; `None` when the drive keeps none.
pub fn change_reference<T: BlockTape + ?Sized>(
    tape: &mut T,
    partition: Partition,
) -> Result<Option<u64>, TapeError> {
    let Some(attribute) = tape.read_attribute(partition, VOLUME_CHANGE_REFERENCE)? else {
        return Ok(None);
    };
    if attribute.value.is_empty() || attribute.value.len() > 8 {
        return Ok(None);
    }
    let reference = attribute.value.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    Ok((reference != 0).then_some(reference))
}

/// Serial number of the medium, without padding; empty when it has none.
pub fn medium_serial<T: BlockTape + ?Sized>(tape: &mut T) -> Result<String, TapeError> {
    let attribute = tape.read_attribute(Partition::Index, MEDIUM_SERIAL_NUMBER)?;
    Ok(attribute.map_or(String::new(), |attribute| {
        String::from_utf8_lossy(&attribute.value).trim_matches([' ', '\0']).to_owned()
    }))
}

/// The attributes that name the program, the volume, its barcode and its owner.
pub fn volume_attributes(name: &str, barcode: &str, pool: &str) -> Vec<Attribute> {
    vec![
        ascii(0x0800, "TAPEGATE", 8),
        ascii(0x0801, "tapegate", 32),
        ascii(0x0802, env!("CARGO_PKG_VERSION"), 8),
        text(0x0803, name, 160),
        Attribute { id: 0x0805, format: AttributeFormat::Binary, value: vec![0x81] }, // UTF-8
        ascii(0x0806, barcode, 32),
        text(0x0808, pool, 160),
        ascii(0x080B, "2.4.0", 16),
    ]
}

fn ascii(id: u16, value: &str, bytes: usize) -> Attribute {
    padded(id, AttributeFormat::Ascii, value, bytes, b' ')
}

fn text(id: u16, value: &str, bytes: usize) -> Attribute {
    padded(id, AttributeFormat::Text, value, bytes, 0)
}

fn padded(id: u16, format: AttributeFormat, value: &str, bytes: usize, padding: u8) -> Attribute {
    let mut end = value.len().min(bytes);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    let mut value = value.as_bytes()[..end].to_vec();
    value.resize(bytes, padding);
    Attribute { id, format, value }
}
