//! How much memory keys and values may take.

/// Bytes available without swapping, if the system reports them.
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kibibytes << 10)
}

/// Bytes for keys and values if the system does not report what is available.
const DEFAULT_BYTES: u64 = 2 << 30;

/// Tokens whose keys and values fit into `asked` bytes, or into half of the available memory: the other half
/// is for the passes themselves and for other processes.
pub fn kv_budget(asked: Option<u64>, kv_bytes_per_token: u64) -> usize {
    let bytes = asked.unwrap_or_else(|| available().map_or(DEFAULT_BYTES, |free| free / 2));
    usize::try_from(bytes / kv_bytes_per_token.max(1)).unwrap_or(usize::MAX)
}
