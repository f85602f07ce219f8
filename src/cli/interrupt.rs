//! Ctrl-C and SIGTERM: the first ends the process at once, or, while a model computes, after the pass in progress; the second ends it
//! immediately.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::failure;
use super::output::say;

/// What is done before the process ends.
type Last = Box<dyn FnOnce() + Send>;

/// What the next signal does.
#[derive(Default)]
struct State {
    /// Whether passes are computed, so that the process ends by itself soon after it is asked to.
    computes: AtomicBool,
    /// Whether they were or are computed.
    began: AtomicBool,
    /// Whether it was asked to.
    stop: AtomicBool,
    last: Mutex<Option<Last>>,
}

/// Whether the run should stop.
pub struct Interrupt(Arc<State>);

impl Interrupt {
    /// Starts listening.
    pub fn listen() -> Self {
        let state = Arc::new(State::default());
        let seen = state.clone();
        let handler = move || {
            if seen.computes.load(Ordering::Relaxed) && !seen.stop.swap(true, Ordering::Relaxed) {
                say!("interrupted: finishing the pass; once more to stop at once");
                return;
            }
            if let Some(last) = seen.last.lock().unwrap_or_else(PoisonError::into_inner).take() {
                last();
            }
            if !seen.began.load(Ordering::Relaxed) {
                say!("interrupted before a request was answered; nothing was written");
            }
            std::process::exit(i32::from(failure::INTERRUPTED));
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            say!("warning: Ctrl-C will lose what is finished: {error}");
        }
        Self(state)
    }

    /// Has `last` done if a signal ends the process before anything is computed.
    pub fn before_end(&self, last: impl FnOnce() + Send + 'static) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(last));
    }

    /// Calls `compute` with what says, between two passes, whether to stop.
    pub fn between_passes<T>(&self, compute: impl FnOnce(&dyn Fn() -> bool) -> T) -> T {
        let _ = self.0.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.0.began.store(true, Ordering::Relaxed);
        self.0.computes.store(true, Ordering::Relaxed);
        let outcome = compute(&|| self.0.stop.load(Ordering::Relaxed));
        self.0.computes.store(false, Ordering::Relaxed);
        outcome
    }
}
