//! How long things take in a library of LTO-9 drives: a pure model, no clock.
//!
//! Words: *wrap* (one pass along the tape; even ones run away from its beginning), *place* (a wrap and how far along
//! it), *band* (a quarter of the wraps), *back-hitch* (the tape stops, goes back and starts again).
//!
//! Moving along the tape costs what CERN's tape archive has fitted to real drives; the rest is in makers' manuals.

mod stream;

use crate::clock::{Clock, ScaledClock};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use stream::Stream;

/// Whether the machines of a library take their time.
#[derive(Clone, Default)]
pub struct Timing {
    pub(crate) clock: Option<Arc<dyn Clock>>,
    /// A cartridge that is loaded for the first time is measured for forty minutes, as LTO-9 does.
    pub(crate) initialises: bool,
}

impl Timing {
    /// Nothing takes any time.
    pub fn instant() -> Self {
        Self::default()
    }

    /// Everything takes `scale` times as long as with real machines: 1 is real time, 0 is instant.
    ///
    /// Panics when it is negative or not a number.
    pub fn scaled(scale: f64) -> Self {
        if scale == 0.0 { Self::instant() } else { Self::on(Arc::new(ScaledClock::new(scale))) }
    }

    /// Everything takes its time on this clock.
    pub fn on(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), initialises: false }
    }

    /// New cartridges are measured at their first load, for forty minutes.
    pub fn with_initialisation(self) -> Self {
        Self { initialises: true, ..self }
    }
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timing").field("clock", &self.clock).field("initialises", &self.initialises).finish()
    }
}

/// Where on the tape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    /// Number of the wrap, from 0.
    pub wrap: u64,
    /// How far from the beginning of the tape, 0 to 1.
    pub along: f64,
}

impl Place {
    /// The beginning of the tape.
    pub const BEGINNING: Self = Self { wrap: 0, along: 0.0 };

    /// So many bytes into a partition whose first wrap is `first_wrap`.
    #[allow(clippy::cast_precision_loss)] // a part of a wrap: 52 bits are far more than enough
    pub fn new(first_wrap: u64, bytes: u64, wrap_bytes: u64) -> Self {
        let wrap = first_wrap + bytes / wrap_bytes;
        let part = (bytes % wrap_bytes) as f64 / wrap_bytes as f64;
        Self { wrap, along: if wrap.is_multiple_of(2) { part } else { 1.0 - part } }
    }
}

/// Moving from one place to another with the drive stopped in between.
pub(crate) fn locate(from: Place, to: Place) -> Duration {
    let step = |differs: bool, seconds: f64| if differs { seconds } else { 0.0 };
    let backwards = from.wrap == to.wrap
        && if from.wrap.is_multiple_of(2) { to.along < from.along } else { to.along > from.along };
    let seconds = 4.29 + step(from.wrap != to.wrap, 6.69) + step(band(from) != band(to), 3.2)
        - step((from.along > 0.5) != (to.along > 0.5), 6.04)
        + step(from.wrap % 2 != to.wrap % 2, 5.22)
        + step(backwards, 11.32)
        + WHOLE_TAPE_SECONDS * (from.along - to.along).abs();
    Duration::from_secs_f64(seconds.max(0.0))
}

/// Winding back to the beginning of the tape.
pub(crate) fn rewind(from: Place) -> Duration {
    Duration::from_secs_f64(9.5 + WHOLE_TAPE_SECONDS * from.along)
}

fn band(place: Place) -> u64 {
    place.wrap / WRAPS_PER_BAND
}

/// From cartridge in the bay to ready.
pub(crate) const LOAD: Duration = Duration::from_secs(17);
/// Measuring a new cartridge.
pub(crate) const INITIALISE: Duration = Duration::from_secs(2400);
/// Letting the tape go, after the rewind.
pub(crate) const UNLOAD: Duration = Duration::from_secs(30);
/// The robot, from one element to another.
pub(crate) const MOVE: Duration = Duration::from_secs(10);
/// Making partitions.
pub(crate) const FORMAT: Duration = Duration::from_secs(120);
/// The robot looks at every element, each.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

const WHOLE_TAPE_SECONDS: f64 = 104.0;
const WRAPS_PER_BAND: u64 = 70;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(duration: Duration) -> f64 {
        (duration.as_secs_f64() * 10.0).round() / 10.0
    }

    #[test]
    fn places() {
        assert_eq!(Place::new(0, 0, 100), Place::BEGINNING);
        assert_eq!(Place::new(0, 25, 100), Place { wrap: 0, along: 0.25 });
        assert_eq!(Place::new(2, 125, 100), Place { wrap: 3, along: 0.75 });
    }

    #[test]
    fn motions_take_what_real_drives_take() {
        let at = |wrap, along| Place { wrap, along };
        // On along the same wrap; back on it; to the other end; to the next wrap at the turn; to another band.
        for (from, to, expected) in [
            (at(0, 0.1), at(0, 0.2), 14.7),
            (at(0, 0.2), at(0, 0.1), 26.0),
            (at(1, 0.1), at(1, 0.2), 26.0),
            (at(0, 0.0), at(0, 1.0), 102.3),
            (at(0, 0.9), at(1, 0.9), 16.2),
            (at(0, 0.9), at(70, 0.9), 14.2),
        ] {
            assert_eq!(seconds(locate(from, to)), expected, "{from:?} to {to:?}");
        }
        // A manual's average: 62 s from the middle.
        assert_eq!(seconds(rewind(at(4, 0.5))), 61.5);
    }
}
