//! LTO generations: how drives and cartridges name them, and which drive reads and writes which cartridge.

use std::fmt;

/// A generation of LTO media. Type M is an LTO-7 cartridge that an LTO-8 drive has formatted to a higher density.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each is named as everybody names it
pub enum Generation {
    Lto3,
    Lto4,
    Lto5,
    Lto6,
    Lto7,
    TypeM,
    Lto8,
    Lto9,
    Lto10,
}

/// What a drive can do with a cartridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Nothing: it is not loaded.
    Nothing,
    /// It reads it.
    Read,
    /// It reads and writes it.
    Write,
}

struct Row {
    generation: Generation,
    /// Density codes of media.
    densities: &'static [u8],
    /// High four bits of the medium type in mode data.
    medium_type: u8,
    /// Last two characters of a barcode: data cartridge, write-once cartridge.
    suffixes: &'static [&'static str],
    worm_suffix: &'static str,
    /// The oldest generations that a drive of this generation reads and writes; `None` when there is no such drive.
    drive: Option<(Generation, Generation)>,
}

use Generation as G;

#[rustfmt::skip] // read by columns
const ROWS: &[Row] = &[
    Row { generation: G::Lto3, densities: &[0x44], medium_type: 0x3, suffixes: &["L3"], worm_suffix: "LT", drive: None },
    Row { generation: G::Lto4, densities: &[0x46], medium_type: 0x4, suffixes: &["L4"], worm_suffix: "LU", drive: None },
    Row { generation: G::Lto5, densities: &[0x58], medium_type: 0x5, suffixes: &["L5"], worm_suffix: "LV", drive: Some((G::Lto3, G::Lto4)) },
    Row { generation: G::Lto6, densities: &[0x5A], medium_type: 0x6, suffixes: &["L6"], worm_suffix: "LW", drive: Some((G::Lto4, G::Lto5)) },
    Row { generation: G::Lto7, densities: &[0x5C], medium_type: 0x7, suffixes: &["L7"], worm_suffix: "LX", drive: Some((G::Lto5, G::Lto6)) },
    Row { generation: G::TypeM, densities: &[0x5D], medium_type: 0x7, suffixes: &["M8"], worm_suffix: "", drive: None },
    Row { generation: G::Lto8, densities: &[0x5E], medium_type: 0x8, suffixes: &["L8"], worm_suffix: "LY", drive: Some((G::Lto7, G::Lto7)) },
    Row { generation: G::Lto9, densities: &[0x60], medium_type: 0x9, suffixes: &["L9"], worm_suffix: "LZ", drive: Some((G::Lto8, G::Lto8)) },
    Row { generation: G::Lto10, densities: &[0x62, 0x63], medium_type: 0xA, suffixes: &["LA", "PA"], worm_suffix: "", drive: Some((G::Lto10, G::Lto10)) },
];

impl Generation {
    /// By the density code of a cartridge (mode data, cartridge memory attribute 0405h).
    pub fn of_density(code: u8) -> Option<Self> {
        ROWS.iter().find(|row| row.densities.contains(&code)).map(|row| row.generation)
    }

    /// By the barcode's last two characters, and whether they mark a write-once cartridge.
    pub fn of_barcode(barcode: &str) -> Option<(Self, bool)> {
        let suffix = barcode.get(barcode.len().checked_sub(2)?..)?;
        let data = |row: &&Row| row.suffixes.contains(&suffix);
        let worm = |row: &&Row| row.worm_suffix == suffix;
        ROWS.iter()
            .find(data)
            .map(|row| (row.generation, false))
            .or_else(|| ROWS.iter().find(worm).map(|row| (row.generation, true)))
    }

    /// By the product a drive names in INQUIRY data: `ULT3580-TD8`, `ULTRIUM-HH9`, `Ultrium 7-SCSI`, `LTO-9`.
    pub fn of_product(product: &str) -> Option<Self> {
        let upper = product.to_ascii_uppercase();
        let number = ["-TD", "-HH", "-HS", "ULTRIUM ", "LTO-"].iter().find_map(|mark| {
            let rest = &upper[upper.find(mark)? + mark.len()..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            rest[..digits].parse::<u8>().ok()
        })?;
        // For whole generations the high bits of the medium type are the number.
        ROWS.iter().find(|row| row.drive.is_some() && row.medium_type == number).map(|row| row.generation)
    }

    /// By the name it is written with: `LTO-9`, `LTO type M`.
    pub fn of_name(name: &str) -> Option<Self> {
        ROWS.iter().map(|row| row.generation).find(|one| one.to_string().eq_ignore_ascii_case(name))
    }

    /// What a drive of this generation can do with a cartridge of that one.
    pub fn uses(self, medium: Self) -> Use {
        let Some((reads, writes)) = self.row().drive else { return Use::Nothing };
        match medium {
            // Only the drives that made it know it.
            G::TypeM => {
                if self == G::Lto8 {
                    Use::Write
                } else {
                    Use::Nothing
                }
            }
            _ if medium > self || medium < reads => Use::Nothing,
            _ if medium < writes => Use::Read,
            _ => Use::Write,
        }
    }

    /// A new cartridge may take up to two hours until it is ready for the first time: the drive measures its tape.
    pub fn initialises_slowly(self) -> bool {
        self == G::Lto9
    }

    /// The first density code of its media.
    pub fn density(self) -> u8 {
        self.row().densities[0]
    }

    /// The medium type in mode data.
    pub fn medium_type(self, worm: bool) -> u8 {
        self.row().medium_type << 4 | if worm { WORM } else { DATA }
    }

    fn row(self) -> &'static Row {
        ROWS.iter().find(|row| row.generation == self).expect("every generation has a row")
    }
}

/// The medium type in mode data says "write once". (LTO codes only.)
pub fn is_worm_type(medium_type: u8) -> bool {
    medium_type & 0x0F == WORM && (0x3..=0xA).contains(&(medium_type >> 4))
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            G::TypeM => f.write_str("LTO type M"),
            other => write!(f, "LTO-{}", other.row().medium_type),
        }
    }
}

const DATA: u8 = 0x08;
const WORM: u8 = 0x0C;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names() {
        for (product, generation) in [
            ("ULT3580-TD8", G::Lto8),
            ("ULTRIUM-HH9", G::Lto9),
            ("Ultrium 7-SCSI", G::Lto7),
            ("VIRTUAL LTO-10", G::Lto10),
        ] {
            assert_eq!(Generation::of_product(product), Some(generation), "{product}");
        }
        assert_eq!(Generation::of_product("T10000D"), None);
        for (barcode, found) in [
            ("TG0001L9", Some((G::Lto9, false))),
            ("A00001LZ", Some((G::Lto9, true))),
            ("X", None),
            ("ABCDEFZZ", None),
        ] {
            assert_eq!(Generation::of_barcode(barcode), found, "{barcode}");
        }
        assert_eq!(Generation::of_name("LTO-9"), Some(G::Lto9));
        assert_eq!(Generation::of_name("lto type m"), Some(G::TypeM));
        assert_eq!(Generation::of_name("LTO-2"), None);
        assert_eq!(Generation::of_barcode("A00001M8"), Some((G::TypeM, false)));
        assert_eq!(
            (Generation::of_density(0x60), Generation::of_density(0x63)),
            (Some(G::Lto9), Some(G::Lto10))
        );
        assert_eq!((G::Lto9.medium_type(false), G::Lto9.medium_type(true)), (0x98, 0x9C));
        assert!(is_worm_type(0x9C) && !is_worm_type(0x98) && !is_worm_type(0x0C));
        assert_eq!(
            (G::Lto10.to_string(), G::TypeM.to_string()),
            ("LTO-10".to_owned(), "LTO type M".to_owned())
        );
    }

    #[test]
    fn which_drive_uses_which_cartridge() {
        let all = [G::Lto3, G::Lto4, G::Lto5, G::Lto6, G::Lto7, G::TypeM, G::Lto8, G::Lto9, G::Lto10];
        // Reads (r) or writes (w) each of `all`, from the makers' tables.
        for (drive, expected) in [
            (G::Lto5, "rww------"),
            (G::Lto6, "-rww-----"),
            (G::Lto7, "--rww----"),
            (G::Lto8, "----www--"),
            (G::Lto9, "------ww-"),
            (G::Lto10, "--------w"),
        ] {
            let found: String = all
                .iter()
                .map(|medium| match drive.uses(*medium) {
                    Use::Nothing => '-',
                    Use::Read => 'r',
                    Use::Write => 'w',
                })
                .collect();
            assert_eq!(found, expected, "{drive}");
        }
    }
}
