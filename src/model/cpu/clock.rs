//! Time spent in passes, by operation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The operations of a pass. Rounding, biases and additions count with the product that they follow, SiLU
/// with `GateUp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Embedding,
    Norms,
    Qkv,
    Rope,
    Keep,
    Attention,
    Output,
    GateUp,
    Down,
    Head,
}

const OPERATIONS: [(Operation, &str); 10] = [
    (Operation::Embedding, "embedding"),
    (Operation::Norms, "norms"),
    (Operation::Qkv, "q, k, v"),
    (Operation::Rope, "rope"),
    (Operation::Keep, "keeping k, v"),
    (Operation::Attention, "attention"),
    (Operation::Output, "output"),
    (Operation::GateUp, "gate, up, silu"),
    (Operation::Down, "down"),
    (Operation::Head, "head"),
];

/// Nanoseconds of each operation since the model was loaded.
#[derive(Default)]
pub struct Clock {
    nanoseconds: [AtomicU64; OPERATIONS.len()],
}

impl Clock {
    /// Runs `work` and adds its time to `operation`.
    pub fn time<R>(&self, operation: Operation, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        let spent = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds[operation as usize].fetch_add(spent, Ordering::Relaxed);
        result
    }

    /// Names and seconds, in the order of a pass.
    pub fn seconds(&self) -> Vec<(&'static str, f64)> {
        let seconds = |&(operation, name): &(Operation, &'static str)| {
            (name, self.nanoseconds[operation as usize].load(Ordering::Relaxed) as f64 / 1e9)
        };
        OPERATIONS.iter().map(seconds).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_where_it_is_spent() {
        let clock = Clock::default();
        for _ in 0..3 {
            clock.time(Operation::Down, || std::thread::sleep(std::time::Duration::from_millis(2)));
        }
        for (index, ((operation, _), (_, seconds))) in OPERATIONS.iter().zip(clock.seconds()).enumerate() {
            assert_eq!(*operation as usize, index);
            assert!(if *operation == Operation::Down { seconds >= 0.006 } else { seconds == 0.0 });
        }
    }
}
