//! How many bytes this process may still take, and who was promised them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk;

/// Bytes that this process may still take without swapping: the least of what the system has, what its control groups (version 1 and
/// 2) leave it, and what its own limits do (`ulimit -v`, `ulimit -d`). `None` if nothing says so.
pub fn free_memory() -> Option<u64> {
    let text = |path: &str| disk::read_text(path, disk::TEXT).ok();
    let system = text("/proc/meminfo").and_then(|text| kibibytes(&text, "MemAvailable:"));
    let own =
        text("/proc/self/limits").and_then(|limits| left_of_limits(&limits, &text("/proc/self/status")?));
    let groups =
        text("/proc/self/cgroup").and_then(|groups| left_of_groups(&groups, &|path| text(path.to_str()?)));
    [system, own, groups].into_iter().flatten().min()
}

/// The value in kB of a line of `/proc`, in bytes.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    value.trim().trim_end_matches(" kB").parse::<u64>().ok()?.checked_mul(1024)
}

/// What `/proc/self/limits` leaves a process with this `/proc/self/status`.
fn left_of_limits(limits: &str, status: &str) -> Option<u64> {
    let left = |limit: &str, taken: &str| {
        let soft = limits.lines().find_map(|line| line.strip_prefix(limit))?.split_whitespace().next()?;
        Some(soft.parse::<u64>().ok()?.saturating_sub(kibibytes(status, taken)?))
    };
    let both = [left("Max address space", "VmSize:"), left("Max data size", "VmData:")];
    both.into_iter().flatten().min()
}

/// What the control groups in `/proc/self/cgroup` leave, each and those that it stands in. Pages of files that the kernel can drop do
/// not count as taken.
fn left_of_groups(groups: &str, read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { continue };
        let (root, most, taken, droppable) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "),
            _ if controllers.split(',').any(|name| name == "memory") => (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file ",
            ),
            _ => continue,
        };
        let group = PathBuf::from(root).join(group.trim_start_matches('/'));
        for folder in group.ancestors().take_while(|folder| folder.starts_with(root)) {
            let number = |name: &str| read(&folder.join(name))?.trim().parse::<u64>().ok();
            let (Some(most), Some(taken)) = (number(most), number(taken)) else { continue };
            let stat = read(&folder.join("memory.stat")).unwrap_or_default();
            let droppable = stat.lines().find_map(|line| line.strip_prefix(droppable)?.trim().parse().ok());
            let left = most.saturating_sub(taken.saturating_sub(droppable.unwrap_or(0)));
            least = Some(least.map_or(left, |least| least.min(left)));
        }
    }
    least
}

/// Bytes that are promised to all claims together.
static CLAIMED: AtomicU64 = AtomicU64::new(0);
/// Claims below this are not worth a look at what is free.
const SMALL: u64 = 16 << 20;

/// A promise of memory, given before it is taken: where there is none, that is an error of the file or task that wanted it, and not the
/// end of the process. It ends when it is dropped; by then the memory is taken, or given back.
#[derive(Debug, Default)]
pub struct Claim {
    bytes: u64,
    /// Bytes that were asked for since the last look.
    unchecked: u64,
}

/// There is no room for a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct NoRoom {
    /// Bytes that were claimed.
    pub wanted: u64,
    /// Bytes that others were promised.
    pub others: u64,
    /// Bytes that there are for all claims together.
    pub room: u64,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, others, room } = self;
        match others {
            0 => write!(f, "{wanted} bytes of memory, and {room} are free for that"),
            _ => write!(
                f,
                "{wanted} bytes of memory beside {others} that are promised, and {room} are free for both"
            ),
        }
    }
}

impl Claim {
    /// A claim of `bytes`.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn of(bytes: u64) -> Result<Self, NoRoom> {
        let mut claim = Self::default();
        claim.grow(bytes)?;
        Ok(claim)
    }

    /// Claims more. What is free is looked up only now and then: looking costs as much as a small file.
    ///
    /// # Errors
    /// [`NoRoom`], with all bytes of this claim.
    pub fn grow(&mut self, bytes: u64) -> Result<(), NoRoom> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.unchecked = self.unchecked.saturating_add(bytes);
        if self.unchecked < SMALL {
            return Ok(());
        }
        let all = CLAIMED.fetch_add(self.unchecked, Ordering::Relaxed).saturating_add(self.unchecked);
        self.unchecked = 0;
        // The rest is for what is computed meanwhile, and for other processes.
        let room = free_memory().map_or(u64::MAX, |free| free / 4 * 3);
        if all <= room {
            return Ok(());
        }
        Err(NoRoom { wanted: self.bytes, others: all.saturating_sub(self.bytes), room })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMED.fetch_sub(self.bytes - self.unchecked, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_the_process_count() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max data size             unlimited            unlimited            bytes     \n\
            Max address space         4096000000           unlimited            bytes     \n";
        let status = "Name:\tx\nVmSize:\t  1000000 kB\nVmData:\t 10 kB\n";
        assert_eq!(left_of_limits(limits, status), Some(4_096_000_000 - 1_024_000_000));
        assert_eq!(left_of_limits(&limits.replace("4096000000", "unlimited "), status), None);
        assert_eq!(left_of_limits(&limits.replace("4096000000", "4096      "), status), Some(0));
        assert_eq!(kibibytes("MemAvailable:   12 kB\n", "MemAvailable:"), Some(12 << 10));
    }

    #[test]
    fn groups_count_with_those_around_them() {
        let read = |path: &Path| {
            let text = match path.to_str()? {
                "/sys/fs/cgroup/a/b/memory.max" => "max\n",
                "/sys/fs/cgroup/a/b/memory.current" => "5\n",
                "/sys/fs/cgroup/a/memory.max" => "1000\n",
                "/sys/fs/cgroup/a/memory.current" => "700\n",
                "/sys/fs/cgroup/a/memory.stat" => "anon 1\ninactive_file 100\n",
                "/sys/fs/cgroup/memory/x/memory.limit_in_bytes" => "900\n",
                "/sys/fs/cgroup/memory/x/memory.usage_in_bytes" => "850\n",
                "/sys/fs/cgroup/memory/x/memory.stat" => "inactive_file 800\ntotal_inactive_file 20\n",
                _ => return None,
            };
            Some(text.to_string())
        };
        assert_eq!(left_of_groups("0::/a/b\n", &read), Some(400));
        assert_eq!(left_of_groups("5:devices:/x\n4:cpu,memory:/x\n0::/a/b\n", &read), Some(70));
        assert_eq!(left_of_groups("0::/\n", &read), None);
    }

    #[test]
    fn a_claim_beyond_what_is_free_is_refused() {
        assert!(free_memory().is_some_and(|free| free > 0));
        let no_room = Claim::of(1 << 60).unwrap_err();
        assert_eq!(no_room.wanted, 1 << 60);
        assert!(no_room.to_string().starts_with("1152921504606846976 bytes of memory"));
        let shown = NoRoom { wanted: 3, others: 2, room: 4 }.to_string();
        assert_eq!(shown, "3 bytes of memory beside 2 that are promised, and 4 are free for both");
        let mut small = Claim::of(10).unwrap();
        assert_eq!(small.grow(1 << 60).unwrap_err().wanted, (1 << 60) + 10);
        drop(small);
        assert!(CLAIMED.load(Ordering::Relaxed) < 1 << 60, "a dropped claim is given back");
    }
}
