//! Time for drives that are to be seen streaming in real time, without waiting minutes for each mount.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

use virtual_library::Clock;

/// Every wait but those for long motions: more than draining a whole buffer of a gigabyte and the mark after it takes.
const LONGEST: Duration = Duration::from_secs(6);

thread_local! {
    /// How much later it is for the drive of this thread than on the wall: a drive is asked by one thread alone.
    static LEFT_OUT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time on the wall, but for motions of the tape and the robot, which are over at once.
#[derive(Debug)]
pub struct StreamingClock(Instant);

// === impl StreamingClock ===

impl Default for StreamingClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl StreamingClock {
    fn now(&self) -> Duration {
        self.0.elapsed() + LEFT_OUT.get()
    }
}

impl Clock for StreamingClock {
    fn begin(&self, free_at: Duration) -> Duration {
        self.now().max(free_at)
    }

    fn wait_until(&self, time: Duration) {
        loop {
            let left = time.saturating_sub(self.now());
            if left.is_zero() {
                return;
            }
            if left > LONGEST {
                LEFT_OUT.set(LEFT_OUT.get() + left);
                return;
            }
            // Woken early, it goes on.
            thread::park_timeout(left);
        }
    }

    fn is_soon(&self, _: Duration, _: Duration) -> bool {
        true
    }
}
