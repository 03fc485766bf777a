//! How a pool fills its cartridges: the part of a pool's settings that decides about mounts, packs and media.

use std::time::Duration;

use engine::{Affinity, Compression, PoolSettings, Verify};
use library::Generation;
use volume::pack::limits::{LEVEL_MAX, LEVEL_MIN};

use super::libraries::{LibraryConfig, Machine};
use super::section::Section;
use super::{JOURNAL_DEFAULT, JOURNAL_SG, PACK_BYTES_DEFAULT, PACK_BYTES_SG, QUIET_DEFAULT, QUIET_SG};

/// zstd level of a pool that says nothing.
const LEVEL_DEFAULT: i32 = 3;
const DRIVES_MAX_DEFAULT: usize = 2;
const DRIVES_MAX: u64 = 64;
const MOUNT_BYTES_DEFAULT: u64 = 4 << 30;
/// On real drives, where a mount costs minutes.
const MOUNT_BYTES_SG: u64 = 256 << 30;
const MOUNT_AGE_SG: Duration = Duration::from_secs(4 * 60 * 60);
const MOUNT_BYTES_MAX: u64 = 1 << 50;
const PREFIX_COMPONENTS_MAX: usize = 32;

/// What a pool of this library is set to when nothing is said. On real drives packs are larger and mounts rarer.
pub fn standard(library: &LibraryConfig, quiet: Duration) -> PoolSettings {
    let (pack_bytes_target, mount_bytes, quiet, mount_age) = match &library.machine {
        Machine::Virtual(_) => (PACK_BYTES_DEFAULT, MOUNT_BYTES_DEFAULT, quiet, quiet),
        Machine::Sg(_) if quiet == QUIET_DEFAULT => (PACK_BYTES_SG, MOUNT_BYTES_SG, QUIET_SG, MOUNT_AGE_SG),
        Machine::Sg(_) => (PACK_BYTES_SG, MOUNT_BYTES_SG, quiet, quiet),
    };
    PoolSettings {
        library: library.name.clone(),
        copies: Vec::new(),
        pack_bytes_target,
        quiet,
        compression: Compression::Zstd(LEVEL_DEFAULT),
        affinity: Affinity::None,
        generation: None,
        drives_max: DRIVES_MAX_DEFAULT,
        mount_bytes,
        mount_age,
        journal_after: match &library.machine {
            Machine::Virtual(_) => JOURNAL_DEFAULT,
            Machine::Sg(_) => JOURNAL_SG,
        },
        key: None,
        verify: Verify::Deferred,
    }
}

/// Reads the keys of this file's part.
pub fn read(section: &mut Section<'_>, settings: &mut PoolSettings) {
    settings.compression = compression(section);
    if settings.key.is_some() && settings.compression == Compression::Drive {
        section.fault("compression", "a drive cannot compress what is sealed", "write \"zstd\" or \"none\"");
    }
    let fix = "write \"none\", \"bucket\", or \"prefix:N\" for the first N components of keys";
    settings.affinity = section.parsed("affinity", fix, affinity).unwrap_or(settings.affinity);
    let fix = "write a generation as \"LTO-9\"";
    let known = |text: &str| Generation::of_name(text).ok_or("is no generation of cartridges");
    settings.generation = section.parsed("generation", fix, known);
    settings.drives_max = section.small("drives_max", 1..=DRIVES_MAX).unwrap_or(settings.drives_max);
    settings.mount_bytes = section.number("mount_bytes", 0..=MOUNT_BYTES_MAX).unwrap_or(settings.mount_bytes);
    settings.mount_age = section.seconds("mount_age_seconds").unwrap_or(settings.mount_age);
    settings.journal_after = section.seconds("journal_seconds").unwrap_or(settings.journal_after);
    let fix = "write \"deferred\", \"inline\" or \"none\"";
    settings.verify = section.parsed("verify", fix, verify).unwrap_or(settings.verify);
}

fn compression(section: &mut Section<'_>) -> Compression {
    let fix = "write \"zstd\", \"drive\" or \"none\"";
    let levels = LEVEL_MIN.unsigned_abs().into()..=LEVEL_MAX.unsigned_abs().into();
    let level: Option<i32> = section.small("compression_level", levels);
    let by_gateway = Compression::Zstd(level.unwrap_or(LEVEL_DEFAULT));
    let chosen = section.parsed("compression", fix, |text| match text {
        "zstd" => Ok(by_gateway),
        "drive" => Ok(Compression::Drive),
        "none" => Ok(Compression::None),
        _ => Err("is no way to compress"),
    });
    let chosen = chosen.unwrap_or(by_gateway);
    if level.is_some() && chosen != by_gateway {
        section.fault(
            "compression_level",
            "is a level of zstd",
            "leave it out, or write compression = \"zstd\"",
        );
    }
    chosen
}

/// When a pool's copies are read back.
fn verify(text: &str) -> Result<Verify, &'static str> {
    match text {
        "deferred" => Ok(Verify::Deferred),
        "inline" => Ok(Verify::Inline),
        "none" => Ok(Verify::Never),
        _ => Err("is no way to verify"),
    }
}

fn affinity(text: &str) -> Result<Affinity, &'static str> {
    match text {
        "none" => Ok(Affinity::None),
        "bucket" => Ok(Affinity::Bucket),
        other => {
            let components = other.strip_prefix("prefix:").and_then(|number| number.parse().ok());
            let components = components.filter(|number| (1..=PREFIX_COMPONENTS_MAX).contains(number));
            components.map(Affinity::Prefix).ok_or("is no affinity")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinities() {
        for (text, expected) in [
            ("none", Some(Affinity::None)),
            ("bucket", Some(Affinity::Bucket)),
            ("prefix:2", Some(Affinity::Prefix(2))),
            ("prefix:0", None),
            ("prefix:33", None),
            ("prefix:", None),
            ("tape", None),
        ] {
            assert_eq!(affinity(text).ok(), expected, "{text}");
        }
    }
}
