//! How much of the free memory keys and values may take.

use crate::bounds::free_memory;

/// Bytes for keys and values if the system does not report what is available.
const DEFAULT_BYTES: u64 = 2 << 30;

/// Tokens whose keys and values fit into `asked` bytes, or into half of the available memory: the other half
/// is for the passes themselves and for other processes.
pub fn kv_budget(asked: Option<u64>, kv_bytes_per_token: u64) -> usize {
    tokens(asked.unwrap_or_else(|| half_of(free_memory())), kv_bytes_per_token)
}

/// The same for a model that is not loaded yet and will take `weights` bytes of the memory that is `available` now. Where the weights alone
/// do not fit there is no such number, and the budget has no bound.
pub fn kv_budget_beside(
    asked: Option<u64>,
    kv_bytes_per_token: u64,
    available: Option<u64>,
    weights: u64,
) -> usize {
    let left = available.map(|available| available.saturating_sub(weights));
    match asked {
        Some(asked) => tokens(asked, kv_bytes_per_token),
        None if left == Some(0) => usize::MAX,
        None => tokens(half_of(left), kv_bytes_per_token),
    }
}

fn half_of(available: Option<u64>) -> u64 {
    available.map_or(DEFAULT_BYTES, |free| free / 2)
}

fn tokens(bytes: u64, kv_bytes_per_token: u64) -> usize {
    usize::try_from(bytes / kv_bytes_per_token.max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_half_of_what_weights_leave() {
        assert_eq!(kv_budget_beside(None, 10, Some(1000), 200), 40);
        assert_eq!(kv_budget_beside(Some(50), 10, Some(1000), 200), 5);
        assert_eq!(kv_budget_beside(None, 10, Some(1000), 1000), usize::MAX);
        assert_eq!(kv_budget_beside(None, 1, None, 1000) as u64, DEFAULT_BYTES);
    }
}
