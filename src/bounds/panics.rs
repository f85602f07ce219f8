//! Code of others, whose panics are faults of the files that it was given.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs code that may panic, and returns a panic's message. Nothing is printed, as the fault is the file's.
///
/// What the code was changing when it panicked must not be used again.
///
/// # Errors
/// The message of its panic.
pub fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    QUIET.set(outer);
    result.map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().map(str::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_its_message() {
        assert_eq!(quietly(|| 3), Ok(3));
        assert_eq!(quietly(|| panic!("no {}", 1)), Err::<(), _>("no 1".to_string()));
        assert_eq!(quietly(|| quietly(|| panic!("inner"))), Ok(Err::<(), _>("inner".to_string())));
        assert!(!QUIET.get());
    }
}
