//! Reading and writing through the drive's buffer: the tape runs at the drive's rate or, when the host is slower, at
//! less; below the least rate it stops, and starting again costs a back-hitch.

use std::time::Duration;

/// The buffer between host and tape, and which way it is used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stream {
    flow: Flow,
    /// When the buffer was looked at last.
    as_of: Duration,
    /// Bytes in the buffer then.
    buffered: f64,
    /// The tape does not run before this.
    runs_from: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Stopped,
    Writing,
    Reading,
}

impl Stream {
    /// The tape stands still and the buffer is empty.
    pub fn stopped(at: Duration) -> Self {
        Self { flow: Flow::Stopped, as_of: at, buffered: 0.0, runs_from: at }
    }

    /// The host gives so many bytes at `now`. Returns when the buffer has taken them.
    pub fn write(&mut self, now: Duration, bytes: usize) -> Duration {
        if self.flow != Flow::Writing {
            *self = Self { flow: Flow::Writing, ..Self::stopped(now) };
        }
        self.drain(now);
        self.buffered += as_f64(bytes);
        let over = self.buffered - BUFFER_BYTES;
        if over <= 0.0 {
            return now;
        }
        let done = self.runs_from.max(now) + Duration::from_secs_f64(over / RATE);
        self.drain(done);
        done
    }

    /// Everything in the buffer goes to the tape, and the tape stops. Returns when that is done; at once when there
    /// was nothing.
    pub fn sync(&mut self, now: Duration) -> Duration {
        if self.flow != Flow::Writing {
            return now;
        }
        self.drain(now);
        let done = self.runs_from.max(now) + Duration::from_secs_f64(self.buffered / RATE) + SYNC;
        *self = Self::stopped(done);
        done
    }

    /// The host takes so many bytes at `now`. Returns when they have come.
    pub fn read(&mut self, now: Duration, bytes: usize) -> Duration {
        if self.flow != Flow::Reading {
            *self = Self { flow: Flow::Reading, ..Self::stopped(now) };
        }
        // Read ahead since, as far as the buffer holds.
        let ran = now.saturating_sub(self.as_of).as_secs_f64();
        self.buffered = (self.buffered + ran * RATE).min(BUFFER_BYTES) - as_f64(bytes);
        let missing = -self.buffered;
        self.as_of = now;
        if missing > 0.0 {
            self.as_of += Duration::from_secs_f64(missing / RATE);
            self.buffered = 0.0;
        }
        self.as_of
    }

    /// The tape has taken what it could until `now`.
    fn drain(&mut self, now: Duration) {
        let from = self.runs_from.max(self.as_of);
        let ran = now.saturating_sub(from).as_secs_f64();
        self.as_of = now.max(self.as_of);
        if ran * MINIMUM_RATE > self.buffered && self.buffered > 0.0 {
            // Even at its slowest the tape has run out of bytes: it has stopped.
            self.runs_from = now + BACK_HITCH;
        }
        self.buffered = (self.buffered - ran * RATE).max(0.0);
    }
}

#[allow(clippy::cast_precision_loss)] // block lengths are 24 bits
fn as_f64(bytes: usize) -> f64 {
    bytes as f64
}

/// Bytes a second between buffer and tape.
const RATE: f64 = 400e6;
/// The least at which the tape runs on.
const MINIMUM_RATE: f64 = 177e6;
const BUFFER_BYTES: f64 = (1u64 << 30) as f64;
/// Padding the last bytes and stopping the tape where writing can go on.
const SYNC: Duration = Duration::from_secs(3);
const BACK_HITCH: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// Writes `count` MiB as fast as they are taken, with `pause` seconds of the host's before each.
    fn write(stream: &mut Stream, mut now: Duration, count: u32, pause: f64) -> Duration {
        for _ in 0..count {
            now = stream.write(now + at(pause), MIB);
        }
        now
    }

    #[test]
    fn a_fast_host_waits_for_the_tape() {
        let mut stream = Stream::stopped(Duration::ZERO);
        let end = write(&mut stream, Duration::ZERO, 32_000, 0.0);
        let end = stream.sync(end).as_secs_f64();
        let rate = 32_000.0 * f64::from(1 << 20) / end / 1e6;
        // 84 s of writing and 3 s for the mark.
        assert!((380.0..400.0).contains(&rate), "{rate} MB/s");
    }

    #[test]
    fn a_mark_for_every_block_costs_three_seconds_each() {
        let mut stream = Stream::stopped(Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..10 {
            now = stream.write(now, MIB);
            now = stream.sync(now);
        }
        assert!((30.0..31.0).contains(&now.as_secs_f64()), "{now:?}");
        assert_eq!(stream.sync(now), now, "nothing to do");
    }

    #[test]
    fn a_host_a_little_slower_than_the_drive_is_followed_and_one_far_slower_is_not() {
        for (megabytes_a_second, follows) in [(300.0, true), (50.0, false)] {
            let mut stream = Stream::stopped(Duration::ZERO);
            let pause = 1.048_576 / megabytes_a_second;
            let end = write(&mut stream, Duration::ZERO, 200, pause);
            assert_eq!(stream.runs_from <= end, follows, "{megabytes_a_second} MB/s");
        }
    }

    #[test]
    fn reading_runs_ahead() {
        let mut stream = Stream::stopped(Duration::ZERO);
        let first = stream.read(Duration::ZERO, 40 * MIB);
        assert!((0.104..0.106).contains(&first.as_secs_f64()), "{first:?}");
        // Two seconds later all of the next 700 MiB have been read ahead.
        let later = first + at(2.0);
        assert_eq!(stream.read(later, 700 * MIB), later);
    }
}
