//! The real clock and real randomness, for the rooms that may have neither of their own.

use std::time::SystemTime;

use model::Timestamp;
use model::clock::{Clock, Entropy};

/// The system's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }
}

/// The system's randomness.
#[derive(Clone, Copy, Debug)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn random(&self) -> u128 {
        u128::from_le_bytes(random_bytes())
    }
}

/// Unpredictable bytes. A system that has none to give cannot keep a secret: the process ends.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}
