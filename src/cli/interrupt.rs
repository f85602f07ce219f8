//! Ctrl-C: the first ends the run after the pass in progress, the second immediately.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::failure;
use super::output::say;

/// Whether the run should stop.
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Starts listening.
    pub fn listen() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let handler = move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(failure::INTERRUPTED));
            }
            say!("interrupted: finishing the pass; once more to stop at once");
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            say!("warning: Ctrl-C will lose what is finished: {error}");
        }
        Self(stop)
    }

    /// Whether Ctrl-C was pressed.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
