//! How long the phases of a run took.

use std::time::{Duration, Instant};

/// Named spans of time, in order.
#[derive(Debug)]
pub struct Spans {
    named: Vec<(&'static str, Duration)>,
    /// When the current phase began.
    clock: Instant,
}

impl Default for Spans {
    fn default() -> Self {
        Self { named: Vec::new(), clock: Instant::now() }
    }
}

impl Spans {
    /// Time since the current phase began.
    pub fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    /// Adds a span that was measured separately.
    pub fn add(&mut self, name: &'static str, span: Duration) {
        self.named.push((name, span));
    }

    /// Begins a phase.
    pub fn begin(&mut self) {
        self.clock = Instant::now();
    }

    /// Ends the current phase.
    pub fn end(&mut self, name: &'static str) {
        self.add(name, self.elapsed());
    }

    /// The spans so far, in order.
    pub fn named(&self) -> &[(&'static str, Duration)] {
        &self.named
    }

    /// All spans, in order.
    pub fn into_vec(self) -> Vec<(&'static str, Duration)> {
        self.named
    }
}
