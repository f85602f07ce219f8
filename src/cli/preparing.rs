//! Progress before a model computes: its weights are read, by bytes, and its tasks are built.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar};

use super::output::{note, share_terminal};
use super::screen::progress_bar;
use crate::vocabulary::Preparing;

/// A bar on a terminal; elsewhere one line, if it takes long.
pub struct PreparingBar {
    bar: Option<ProgressBar>,
    started: Instant,
    said: AtomicBool,
}

/// What is shorter is not worth a line.
const LONG: Duration = Duration::from_secs(2);

impl PreparingBar {
    /// Nothing is shown before the first step.
    pub fn new() -> Self {
        let bar = progress_bar(
            "{elapsed_precise} {prefix} [{bar:20}] {bytes} of {total_bytes}  {wide_msg}",
            "{prefix} [{bar:8}] {percent:>3} % {wide_msg}",
        );
        if let Some(bar) = &bar {
            bar.set_prefix("loading");
        }
        share_terminal(bar.as_ref());
        Self { bar, started: Instant::now(), said: AtomicBool::new(false) }
    }

    /// Shows how far it is.
    pub fn show(&self, now: Preparing) {
        let Preparing { read, of, loaded } = now;
        match &self.bar {
            Some(bar) => {
                bar.set_length(of);
                bar.set_position(if loaded { of } else { read });
                bar.set_message(if loaded { "building requests" } else { "" });
            }
            None if self.started.elapsed() >= LONG && !self.said.swap(true, Ordering::Relaxed) => {
                note!("loading {} of weights", HumanBytes(of));
            }
            None => {}
        }
    }

    /// Says what is waited for.
    pub fn step(&self, what: &'static str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what);
        }
    }

    /// Ends the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        share_terminal(None);
    }
}

impl Drop for PreparingBar {
    /// An error ends the bar too, before it is printed.
    fn drop(&mut self) {
        self.finish();
    }
}
