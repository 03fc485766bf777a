//! The label on a cartridge's outside.

use std::fmt;

use scsi::Generation;

/// A barcode: 1 to 32 printable ASCII characters without blanks. It locates a cartridge and never identifies one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Barcode(String);

impl Barcode {
    /// Reads a barcode, without the blanks a changer pads it with; `None` when it cannot be one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches([' ', '\0']);
        let fits = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The generation its last two characters name, when they name one.
    pub fn generation(&self) -> Option<Generation> {
        Generation::of_barcode(&self.0).map(|(generation, _)| generation)
    }

    /// Whether this is a cleaning cartridge, by the convention all libraries share (`CLN...`). Never mounted as data.
    pub fn is_cleaning(&self) -> bool {
        self.0.starts_with("CLN")
    }
}

impl fmt::Display for Barcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Barcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Barcode({})", self.0)
    }
}
