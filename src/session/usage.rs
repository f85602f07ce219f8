//! Time and memory that this process used.

use std::time::Instant;

use crate::disk;
use crate::store::SessionWork;

/// CPU time of all threads, in seconds; `None` if the system does not report it.
fn cpu_seconds() -> Option<f64> {
    // Linux reports it to programs in hundredths of a second, independent of the kernel's tick rate.
    const TICKS: f64 = 100.0;
    let text = disk::read_text("/proc/self/stat", disk::TEXT).ok()?;
    // The second field is the program's name, in parentheses, and may contain any character.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

/// Peak resident memory, in bytes; `None` if the system does not report it.
fn peak_memory() -> Option<u64> {
    let text = disk::read_text("/proc/self/status", disk::TEXT).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes << 10)
}

/// What the process used since its start, `began`; the work is not filled in.
pub fn usage(began: Instant) -> SessionWork {
    SessionWork {
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds(),
        peak_memory_bytes: peak_memory(),
        ..SessionWork::default()
    }
}
