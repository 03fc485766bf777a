//! The passing of time as a port: devices say until when they are at work, a clock lets it become that late.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time in a library, counted from some beginning.
pub trait Clock: Send + Sync + fmt::Debug {
    /// When a device begins what it is asked now, having been at work until `free_at`.
    fn begin(&self, free_at: Duration) -> Duration;

    /// Returns when it is that late.
    fn wait_until(&self, time: Duration);

    /// Whether waiting from `now` until `time` is a matter of a moment for whoever waits.
    fn is_soon(&self, now: Duration, time: Duration) -> bool;
}

/// Time that really passes, faster or slower.
#[derive(Debug)]
pub struct ScaledClock {
    start: Instant,
    /// Seconds on the wall for each second in the library.
    scale: f64,
}

impl ScaledClock {
    /// Each second in the library takes `scale` seconds; 1 is real time. Panics unless it is positive.
    pub fn new(scale: f64) -> Self {
        assert!(scale.is_finite() && scale > 0.0, "a time scale of {scale}");
        Self { start: Instant::now(), scale }
    }

    fn now(&self) -> Duration {
        self.start.elapsed().div_f64(self.scale)
    }
}

impl Clock for ScaledClock {
    fn begin(&self, free_at: Duration) -> Duration {
        self.now().max(free_at)
    }

    fn wait_until(&self, time: Duration) {
        loop {
            let left = time.saturating_sub(self.now()).mul_f64(self.scale);
            if left.is_zero() {
                return;
            }
            // Woken early, it goes on.
            std::thread::park_timeout(left);
        }
    }

    fn is_soon(&self, now: Duration, time: Duration) -> bool {
        time.saturating_sub(now).mul_f64(self.scale) <= MOMENT
    }
}

/// Time that nobody waits for: it is as late as the device that has worked longest. Hosts think in no time. Clones
/// show the same time.
#[derive(Clone, Debug, Default)]
pub struct SimulatedClock {
    latest: Arc<Mutex<Duration>>,
}

impl SimulatedClock {
    /// How long everything has taken so far.
    pub fn elapsed(&self) -> Duration {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for SimulatedClock {
    fn begin(&self, free_at: Duration) -> Duration {
        free_at
    }

    fn wait_until(&self, time: Duration) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = latest.max(time);
    }

    fn is_soon(&self, _: Duration, _: Duration) -> bool {
        true
    }
}

/// What a host may be kept waiting for the answer to TEST UNIT READY, instead of having to ask again.
const MOMENT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_time_is_that_of_whoever_worked_longest() {
        let clock = SimulatedClock::default();
        clock.wait_until(Duration::from_secs(90));
        clock.wait_until(Duration::from_secs(60));
        assert_eq!(clock.elapsed(), Duration::from_secs(90));
        assert_eq!(clock.begin(Duration::from_secs(60)), Duration::from_secs(60));
    }

    #[test]
    fn scaled_time_runs_as_fast_as_it_is_told() {
        let clock = ScaledClock::new(1e-6);
        clock.wait_until(Duration::from_secs(3600));
        assert!(clock.begin(Duration::ZERO) >= Duration::from_secs(3600));
        assert!(clock.is_soon(Duration::ZERO, Duration::from_secs(3600)));
        assert!(!ScaledClock::new(1.0).is_soon(Duration::ZERO, Duration::from_secs(2)));
    }
}
