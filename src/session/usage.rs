//! What this process took of the machine.

use std::time::Instant;

use crate::store::SessionWork;

/// Processor time of all threads, in seconds; none where the system does not say.
fn cpu_seconds() -> Option<f64> {
    // Linux counts it in hundredths of a second for programs, whatever its own clock does.
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name, in brackets, and may hold anything.
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS)
}

/// The most memory that was resident, in bytes; none where the system does not say.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes << 10)
}

/// What the process took since `began`; its work is not filled in.
pub fn usage(began: Instant) -> SessionWork {
    SessionWork {
        seconds: began.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds(),
        peak_memory_bytes: peak_memory(),
        ..SessionWork::default()
    }
}
